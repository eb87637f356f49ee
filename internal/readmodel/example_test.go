package readmodel_test

import (
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// The sets of a raffle and size carry the epoch; a cluster keeps the keys of a raffle together.
func ExampleEpoch() {
	e := readmodel.Epoch(5)
	fmt.Println(e.Newest(901, 270))
	fmt.Println(e.Highest(901, 270))
	fmt.Println(e.Sizes(901))
	// Output:
	// {r901}:5:n:270
	// {r901}:5:h:270
	// {r901}:5:sizes
}

// A member begins with the time and the id, so Redis orders bids of one score as SQL does.
func ExampleBid_AppendMember() {
	b := readmodel.Bid{RaffleID: 901, ID: 7, UserID: 3, Size: 270, Price: 150_000, Quantity: 1, CreatedAt: 1_700_000_000_000_000}
	member := b.AppendMember(nil)
	fmt.Printf("%x %x %x\n", member[:8], member[8:16], member[16:])
	back, err := readmodel.ParseMember(901, 270, member)
	fmt.Println(back == b, err)
	// Output:
	// 00060a24181e4000 0000000000000007 03f0930901
	// true <nil>
}

// A member that this package can't have written is an error, never a wrong bid.
func ExampleParseMember() {
	_, err := readmodel.ParseMember(901, 270, []byte("whole"))
	fmt.Println(err)
	// Output:
	// bid member of raffle 901 size 270: corrupt read-model value
}

// The replicator writes the checkpoint in the same MULTI as the data.
func ExampleCheckpoint() {
	c := readmodel.Checkpoint{SystemID: 7, Timeline: 1, Slot: "pyramid_5", LSN: lsn.LSN(0x1A2B3C8), Epoch: 5, Token: "f00d", Publication: "abc"}
	fmt.Println(c.Position())
	back, err := readmodel.ParseCheckpoint(c.String())
	fmt.Println(back == c, err)
	// Output:
	// 1-0/1A2B3C8
	// true <nil>
}
