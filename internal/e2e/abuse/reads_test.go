package abuse

import (
	"context"
	"encoding/json"
	"fmt"
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
			_ = json.Unmarshal(a.send(ctx, c, "GET", list+next, ""), &page) // what is refused begins anew
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

// hotWithoutRedis asks for details that SQL must count while Redis hangs.
func hotWithoutRedis(ctx context.Context, a *abuser) {
	a.stack.redis.Pause(a.t)
	a.many(1, func(int) {
		<-ctx.Done()
		a.stack.redis.Resume(a.t)
	})
	requests(24, "GET", func(int) string { return "/v1/raffles/1" }, "")(ctx, a)
}
