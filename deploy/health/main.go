// Command health asks a program of its own container whether it is ready: `health http://127.0.0.1:9081/readyz`. The
// images of the services have no shell and no other program that could ask.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// patience bounds the question.
const patience = 2 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: health http://HOST:PORT/PATH")
	}
	address, path, ok := strings.Cut(strings.TrimPrefix(args[0], "http://"), "/")
	if !ok {
		return fmt.Errorf("%q has no path", args[0])
	}
	return ask(address, path)
}

// ask succeeds if the answer's status is 200. The whole HTTP client would triple the program's size.
func ask(address, path string) error {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n", path, address); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if fields := strings.Fields(line); len(fields) < 2 || fields[1] != "200" {
		return fmt.Errorf("%s/%s: %s", address, path, strings.TrimSpace(line))
	}
	return nil
}
