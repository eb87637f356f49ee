package lsn_test

import (
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// A position is a timeline and an LSN.
func ExampleParsePosition() {
	p, err := lsn.ParsePosition("2-0/1A2B3C8")
	fmt.Println(p.Timeline, uint64(p.LSN), err)
	_, err = lsn.ParsePosition("0/1A2B3C8!")
	fmt.Println(err)
	// Output:
	// 2 27440072 <nil>
	// LSN "0/1A2B3C8!" is not of the form X/X
}

// A position of an old timeline is held up to where the timeline was left, and lost beyond.
func ExampleHistory() {
	h := lsn.NewHistory(2, []lsn.Branch{{Timeline: 2, Parent: 1, Begins: 0x2000}})
	for _, p := range []lsn.Position{{Timeline: 1, LSN: 0x1000}, {Timeline: 1, LSN: 0x3000}, {Timeline: 2, LSN: 0x3000}, {Timeline: 3, LSN: 1}} {
		fmt.Println(p, h.Judge(p) == lsn.Held)
	}
	// Output:
	// 1-0/1000 true
	// 1-0/3000 false
	// 2-0/3000 true
	// 3-0/1 false
}
