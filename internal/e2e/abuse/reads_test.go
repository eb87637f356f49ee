package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// deepPages follows cursors to the end of long lists, again and again.
func deepPages(ctx context.Context, a *abuser) {
	c := clientFrom(a.address(0), 16)
	a.many(16, func(i int) {
		list := fmt.Sprintf("/v1/raffles/%d/bids?size=270&limit=%d&order=%s", 1+i%4, 20+i, []string{"newest", "highest"}[i%2])
		for next := ""; ctx.Err() == nil; {
			var page struct {
				Cursor string `json:"next_cursor"`
			}
			_ = json.Unmarshal(a.send(ctx, c, "GET", list+next, ""), &page) // after a refusal it starts over
			if next = ""; page.Cursor != "" {
				next = "&cursor=" + page.Cursor
			}
		}
	})
	context.AfterFunc(ctx, c.CloseIdleConnections)
}

// manySizes bids on every size of one raffle and asks for its details.
func manySizes(ctx context.Context, a *abuser) {
	path := fmt.Sprintf("/v1/raffles/%d", hot+1)
	c := clientFrom(a.address(0), 24)
	a.many(24, func(i int) {
		for n := i; ctx.Err() == nil; n += 24 {
			if i%2 == 0 {
				a.send(ctx, c, "POST", path+"/bids", fmt.Sprintf(`{"size":%d,"price":1000}`, 1+n%5000), "Authorization", a.token)
			} else {
				a.send(ctx, c, "GET", path, "")
			}
		}
	})
	context.AfterFunc(ctx, c.CloseIdleConnections)
}

// hottestDetails asks for details that cost SQL the most.
var hottestDetails = requests(24, "GET", func(int) string { return fmt.Sprintf("/v1/raffles/%d", hottest) }, "")

// redisHangs stops Redis until ctx ends.
func redisHangs(ctx context.Context, a *abuser) {
	a.stack.redis.Pause(a.t)
	a.many(1, func(int) {
		<-ctx.Done()
		a.stack.redis.Resume(a.t)
	})
}

// hottestIsLost keeps the hottest raffle out of the read model, so that SQL must count its bids.
func hottestIsLost(ctx context.Context, a *abuser) {
	checkpoint, err := readmodel.ParseCheckpoint(a.stack.rdb.Get(ctx, readmodel.CheckpointKey).Val())
	if err != nil {
		a.t.Error(err)
	}
	a.many(1, func(int) {
		for ctx.Err() == nil {
			a.stack.rdb.SRem(ctx, checkpoint.Epoch.Sizes(hottest), readmodel.RaffleKnown)
			<-time.After(10 * time.Millisecond)
		}
		part := readmodel.Part{Raffle: hottest}
		if err := a.stack.rdb.SAdd(context.WithoutCancel(ctx), readmodel.ReloadKey, part.String()).Err(); err != nil {
			a.t.Error(err)
		}
	})
}
