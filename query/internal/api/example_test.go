package api

import (
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// A cursor says after which row a list goes on, and at which position its first page was.
func Example_cursor() {
	c := cursor{kind: byte(bidbook.Highest), raffle: 901, size: 270,
		after: bidbook.Keyset{At: 1_700_000_000_000_000, ID: 7, Price: 150_000}, first: lsn.Position{Timeline: 1, LSN: 0x1A2B3C8}}
	text := string(c.append(nil))
	fmt.Println(text)
	back, err := parseCursor(text)
	fmt.Println(back == c, err)
	_, err = parseCursor(text[:len(text)-1])
	fmt.Println(err != nil)
	// Output:
	// AmgAAAAAAAADhQEOAAJJ8AAGCiQYHkAAAAAAAAAAAAcAAAAAAaKzyAAAAAE
	// true <nil>
	// true
}
