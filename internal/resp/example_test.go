package resp_test

import (
	"fmt"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// Commands are appended to one buffer, which is what goes over the wire.
func ExampleCommands() {
	var c resp.Commands
	c.Add("SET", "key", "value")
	c.Add("GET", "key")
	fmt.Printf("%d %q\n", c.N, c.Wire)
	// Output:
	// 2 "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
}

// Replies are read one after the other. An error of the server is a reply too.
func ExampleReader() {
	r := resp.NewReader(strings.NewReader("+OK\r\n$5\r\nvalue\r\n-ERR no\r\n"), 64)
	for range 3 {
		reply, err := r.Next()
		fmt.Printf("%q %v %v\n", reply.Text, reply.Err(), err)
	}
	// Output:
	// "OK" <nil> <nil>
	// "value" <nil> <nil>
	// "ERR no" ERR no <nil>
}
