package abuse

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

const login = `{"login":"user7","password":"wrong"}`

// hot is a raffle that no steady client touches.
const hot = openRaffle + 60

// abuses are in the order in which they run.

var abuses = []abuse{
	{name: "slow bodies of logins", run: halfSent("POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")},
	{name: "slow bodies of bids", run: halfSent("POST /v1/raffles/901/bids HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{")},
	{name: "slow heads", run: halfSent("POST /v1/login HTTP/1.1\r\nHost: x\r\nX-Slow: ")},
	{name: "5,000 idle sockets", run: idleSockets},
	{name: "connect and close", run: connectAndClose},
	{name: "login storm", run: requests(24, "POST", func(int) string { return "/v1/login" }, login)},
	{name: "registration storm", run: requests(24, "POST", func(int) string { return "/v1/users" }, `{"login":"user7","password":"pyramid-pyramid"}`)},
	{name: "tokens that are none", run: requests(24, "GET", func(int) string { return "/v1/me/bids" }, "", "Authorization", "Bearer eyJhbGciOiJFZERTQSJ9.e30.AAAA")},
	{name: "404 scan of raffles", run: requests(24, "GET", func(i int) string { return fmt.Sprintf("/v1/raffles/%d", 10_000_000+rand.IntN(1<<30)) }, "")},
	{name: "404 scan of sizes", run: requests(24, "GET", func(i int) string { return fmt.Sprintf("/v1/bids?size=%d", 1+rand.IntN(32_767)) }, "")},
	{name: "unreachable Min-LSN", run: requests(24, "GET", func(int) string { return "/v1/raffles/901/bids?size=270&limit=2000" }, "", "Min-LSN", "FFFFFFFF/FFFFFFFF")},
	{name: "limit cycling", run: requests(16, "GET", func(i int) string { return fmt.Sprintf("/v1/raffles?status=all&limit=%d", 1+rand.IntN(10_000)) }, "")},
	{name: "pages of 2,000", run: requests(16, "GET", func(i int) string {
		return fmt.Sprintf("/v1/raffles/%d/bids?size=270&limit=2000&order=highest", 1+i%20)
	}, "")},
	{name: "deep pages by cursor", run: deepPages},
	{name: "5,000 sizes of a raffle", run: manySizes},
	{name: "details of the hottest raffle, which Redis lacks", beneath: hottestIsLost, run: hottestDetails},
	{name: "Redis hangs", direct: true, run: redisHangs},
	{name: "details of the hottest raffle while Redis hangs", beneath: redisHangs, run: hottestDetails},
	{name: "details of a hot raffle", run: requests(24, "GET", func(int) string { return fmt.Sprintf("/v1/raffles/%d", hot) }, "")},
	{name: "methods that are none", run: requests(24, "PATCH", func(int) string { return "/v1/raffles/901/bids" }, "")},
	{name: "oversized bodies", run: requests(16, "POST", func(int) string { return "/v1/login" }, strings.Repeat("x", 1<<20))},
	{name: "oversized heads", run: requests(16, "GET", func(int) string { return "/hello" }, "", "Cookie", strings.Repeat("x", 20<<10))},
	{name: "no HTTP", run: rawStorm(strings.Repeat("GARBAGE ", 100) + "\r\n\r\n")},
	{name: "pipelined requests", run: rawStorm(strings.Repeat("GET /v1/raffles/901/bids?size=270 HTTP/1.1\r\nHost: x\r\n\r\n", 200))},
	{name: "one address opens everything", run: oneAddress},
	{name: "cancel and retry storm", run: cancelAndRetry},
	{name: "feeds without end", run: feedStorm},
	{name: "sessions that join nothing", run: requests(24, "GET", func(int) string { return "/socket.io/?EIO=4&transport=polling" }, "")},
	{name: "join flood", run: sockets(8, `42/raffles,["join",{"raffle_id":901}]`, true)},
	{name: "wrong joins, never read", run: sockets(8, `42/raffles,["join",{"raffle_id":99999999,"size":"x"}]`, false)},
	{name: "a client that never reads", run: neverReads},
	{name: "corrupt stream entries", direct: true, run: corruptEntries},
	{name: "a held raffle row", direct: true, run: heldRaffle},
}

// requests sends the same request over so many connections, as fast as answers come.
func requests(conns int, method string, path func(i int) string, body string, header ...string) func(context.Context, *abuser) {
	return func(ctx context.Context, a *abuser) {
		c := clientFrom(a.address(0), conns)
		a.many(conns, func(i int) {
			for n := i; ctx.Err() == nil; n += conns {
				a.send(ctx, c, method, path(n), body, header...)
			}
		})
		context.AfterFunc(ctx, c.CloseIdleConnections)
	}
}

func (a *abuser) send(ctx context.Context, c *http.Client, method, path, body string, header ...string) (answer []byte) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+a.addr+path, strings.NewReader(body))
	if err != nil {
		a.t.Error(err)
		return nil
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := c.Do(r)
	if err != nil {
		return nil // cut off, as an abuser may be
	}
	defer w.Body.Close()
	answer, _ = io.ReadAll(w.Body) // as far as it came
	return answer
}

// halfSent keeps connections on which a request is never finished, from several addresses.
func halfSent(text string) func(context.Context, *abuser) {
	return func(ctx context.Context, a *abuser) {
		a.many(1200, func(i int) {
			for ctx.Err() == nil {
				c, err := a.dial(ctx, i%6)
				if err != nil {
					<-time.After(100 * time.Millisecond)
					continue
				}
				_, _ = io.WriteString(c, text) // it may be cut off
				_, _ = io.Copy(io.Discard, c)
			}
		})
	}
}

func idleSockets(ctx context.Context, a *abuser) {
	a.many(50, func(i int) {
		for range 100 {
			if c, err := a.dial(ctx, i%25); err == nil {
				defer c.Close()
			}
		}
		<-ctx.Done()
	})
}

func connectAndClose(ctx context.Context, a *abuser) {
	a.many(8, func(i int) {
		for ctx.Err() == nil {
			if c, err := a.dial(ctx, i); err == nil {
				_ = c.Close()
			}
			<-time.After(time.Millisecond)
		}
	})
}

// rawStorm sends a text on new connections.
func rawStorm(text string) func(context.Context, *abuser) {
	return func(ctx context.Context, a *abuser) {
		a.many(8, func(i int) {
			for ctx.Err() == nil {
				c, err := a.dial(ctx, i)
				if err != nil {
					<-time.After(10 * time.Millisecond)
					continue
				}
				_, _ = io.WriteString(c, text)
				_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		})
	}
}

// oneAddress takes connections, feeds and requests, as many as it gets.
func oneAddress(ctx context.Context, a *abuser) {
	a.many(100, func(i int) {
		for range 10 {
			c, err := a.dial(ctx, 0)
			if err != nil {
				continue
			}
			defer c.Close()
			if i%2 == 0 {
				_, _ = io.WriteString(c, "GET /v1/raffles/901/live HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
			}
		}
		<-ctx.Done()
	})
	requests(24, "GET", func(i int) string { return "/v1/raffles" }, "")(ctx, a)
}

func cancelAndRetry(ctx context.Context, a *abuser) {
	c := clientFrom(a.address(0), 16)
	a.many(16, func(i int) {
		for n := 0; ctx.Err() == nil; n++ {
			path := fmt.Sprintf("/v1/raffles/%d/bids", hot+i)
			key := fmt.Sprintf("storm-%d-%d", i, n)
			for range 2 {
				body := a.send(ctx, c, "POST", path, `{"size":270,"price":1000}`, "Authorization", a.token, "Idempotency-Key", key)
				var id int64
				if _, err := fmt.Sscanf(string(body), `{"id":%d,`, &id); err == nil {
					a.send(ctx, c, "DELETE", fmt.Sprintf("%s/%d", path, id), "", "Authorization", a.token)
				}
			}
		}
	})
	context.AfterFunc(ctx, c.CloseIdleConnections)
}

// feedStorm opens feeds from many addresses and opens them again when they end.
func feedStorm(ctx context.Context, a *abuser) {
	a.many(300, func(i int) {
		for ctx.Err() == nil {
			c, err := a.dial(ctx, i%8)
			if err != nil {
				<-time.After(50 * time.Millisecond)
				continue
			}
			_, _ = fmt.Fprintf(c, "GET /v1/raffles/%d/live?size=270 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n", openRaffle+i%40)
			_, _ = io.Copy(io.Discard, c)
		}
	})
}

// sockets floods websockets with a packet.
func sockets(n int, packet string, read bool) func(context.Context, *abuser) {
	return func(ctx context.Context, a *abuser) {
		a.many(n, func(i int) {
			// The context of the handshake ends with it, and would close the connection.
			d := websocket.Dialer{HandshakeTimeout: 2 * time.Second, NetDialContext: func(context.Context, string, string) (net.Conn, error) { return a.dial(ctx, i) }}
			for ctx.Err() == nil {
				c, _, err := d.DialContext(ctx, "ws://"+a.addr+"/socket.io/?EIO=4&transport=websocket", nil) //nolint:bodyclose // the dialer has closed it
				if err != nil {
					<-time.After(10 * time.Millisecond)
					continue
				}
				if read {
					a.work.Go(func() {
						for {
							if _, _, err := c.ReadMessage(); err != nil {
								return
							}
						}
					})
				}
				err = c.WriteMessage(websocket.TextMessage, []byte("40/raffles,"))
				for err == nil && ctx.Err() == nil {
					err = c.WriteMessage(websocket.TextMessage, []byte(packet))
				}
				_ = c.Close()
			}
		})
	}
}

// neverReads follows the raffles that the steady load bids on and takes nothing.
func neverReads(ctx context.Context, a *abuser) {
	a.many(100, func(i int) {
		c, err := a.dial(ctx, i%4)
		if err != nil {
			return
		}
		if tcp, is := c.(*net.TCPConn); is {
			_ = tcp.SetReadBuffer(1 << 10)
		}
		_, _ = fmt.Fprintf(c, "GET /v1/raffles/%d/live HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", openRaffle+i%40)
		<-ctx.Done()
	})
}

// corruptEntries writes entries that are no events into the stream of a raffle that is followed.
func corruptEntries(ctx context.Context, a *abuser) {
	a.many(1, func(int) {
		checkpoint, err := readmodel.ParseCheckpoint(a.stack.rdb.Get(ctx, readmodel.CheckpointKey).Val())
		if err != nil {
			a.t.Error(err)
			return
		}
		key := checkpoint.Epoch.Live(hot)
		follower, err := a.dial(ctx, 0)
		if err != nil {
			a.t.Error(err)
			return
		}
		_, _ = fmt.Fprintf(follower, "GET /v1/raffles/%d/live HTTP/1.1\r\nHost: x\r\n\r\n", hot)
		for n := 1; ctx.Err() == nil; n++ {
			a.stack.rdb.Do(ctx, "XADD", key, fmt.Sprintf("%d-%d", uint64(checkpoint.LSN)+1, n), readmodel.LiveField, "\x01")
			<-time.After(20 * time.Millisecond)
		}
		a.stack.rdb.Del(context.Background(), key)
	})
}

// heldRaffle leaves a change of one raffle open and bids on it.
func heldRaffle(ctx context.Context, a *abuser) {
	a.many(1, func(int) {
		conn, err := pgx.Connect(ctx, a.stack.primary.URL("postgres"))
		if err != nil {
			a.t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
			a.t.Error(err)
		}
		if _, err := conn.Exec(ctx, "UPDATE raffles SET ends_at = ends_at WHERE id = $1", hot); err != nil {
			a.t.Error(err)
		}
		requests(16, "POST", func(int) string { return fmt.Sprintf("/v1/raffles/%d/bids", hot) }, `{"size":270,"price":1000}`, "Authorization", a.token)(ctx, a)
		<-ctx.Done()
	})
}
