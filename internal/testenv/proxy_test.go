package testenv

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// echo answers each line with the same line in two pieces, behind a name.
func echo(t *testing.T, name string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for in := bufio.NewReader(conn); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					for _, piece := range []string{name + line[:len(line)/2], line[len(line)/2:]} {
						if _, err := io.WriteString(conn, piece); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

type lineClient struct {
	net.Conn
	in *bufio.Reader
}

func dialLine(t *testing.T, p *Proxy) *lineClient {
	t.Helper()
	conn, err := net.Dial("tcp4", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &lineClient{conn, bufio.NewReader(conn)}
}

func (c *lineClient) ask(line string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	answer, err := c.in.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

func (c *lineClient) must(t *testing.T, line, want string) {
	t.Helper()
	if got, err := c.ask(line); err != nil || got != want {
		t.Fatalf("%q is answered by %q, %v; want %q", line, got, err, want)
	}
}

func TestProxyDelaysAndLimits(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, echo(t, ""))
	c := dialLine(t, p)
	c.must(t, "a", "a")
	p.SetDelay(60*time.Millisecond, 40*time.Millisecond)
	began := time.Now()
	c.must(t, "b", "b")
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("a round trip took %v, less than both delays", took)
	}
	p.SetDelay(0, 0)
	p.SetRate(100_000)
	began = time.Now()
	long := strings.Repeat("x", 20_000)
	c.must(t, long, long)
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("20,000 bytes took %v at 100,000 a second", took)
	}
	if p.Sent() != 2+2+20_001 {
		t.Errorf("%d bytes sent", p.Sent())
	}
}

func TestProxyCutsRefusesAndMoves(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, echo(t, "one "))
	c := dialLine(t, p)
	c.must(t, "a", "one a")
	p.SetDelay(0, time.Hour) // a cut doesn't wait for what is under way
	if _, err := io.WriteString(c, "b\n"); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if _, err := c.ask("c"); err == nil {
		t.Fatal("the connection was not cut")
	}
	p.SetDelay(0, 0)
	old := dialLine(t, p)
	old.must(t, "a", "one a")
	p.Refuse(t, true)
	if _, err := net.Dial("tcp4", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("refused by %v", err)
	}
	p.Refuse(t, false)
	p.SetTarget(echo(t, "two "))
	dialLine(t, p).must(t, "a", "two a")
	old.must(t, "a", "one a")
}

func TestProxyCutsBeforeAnAnswerInPieces(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, echo(t, ""))
	p.CutBeforeAnswer([]byte("COMMIT"), 1)
	c := dialLine(t, p)
	c.must(t, "BEGIN", "BEGIN")
	if got, err := c.ask("xCOMMITx"); err == nil {
		t.Fatalf("answered by %q", got)
	}
	dialLine(t, p).must(t, "COMMIT", "COMMIT") // once only
	if p.Cuts() != 1 {
		t.Errorf("%d cuts", p.Cuts())
	}
}

func TestProxyIsABlackHole(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, echo(t, ""))
	open, closed := dialLine(t, p), dialLine(t, p)
	open.must(t, "a", "a")
	closed.must(t, "a", "a")
	p.BlackHole(true)
	late := dialLine(t, p)
	for name, c := range map[string]*lineClient{"an open": open, "a new": late} {
		if err := c.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "b\n"); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if got, err := c.in.ReadString('\n'); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s connection got %q, %v", name, got, err)
		}
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	p.BlackHole(false)
	for _, c := range []*lineClient{open, late} {
		c.must(t, "c", "b") // the answer to what was sent in the black hole
		if got, err := c.in.ReadString('\n'); got != "c\n" {
			t.Errorf("the next answer is %q, %v", got, err)
		}
	}
	p.BlackHole(true)
	p.Cut()
	if got, err := open.ask("d"); err == nil {
		t.Errorf("a cut connection answers %q", got)
	}
}

// The worst case for a service: the commit is done and its answer is lost.
func TestProxyCutsAfterTheCommit(t *testing.T) {
	t.Parallel()
	db := NewDatabase(t)
	db.Exec(t, "CREATE TABLE seen (n int); GRANT ALL ON seen TO command")
	p := StartProxy(t, db.Addr())
	p.CutBeforeAnswer([]byte(CommitAnswer), 1)
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.URL(db.URL("command")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var batch pgx.Batch
	for _, sql := range []string{"BEGIN", "INSERT INTO seen VALUES (1)", "COMMIT"} {
		batch.Queue(sql)
	}
	if err := conn.SendBatch(ctx, &batch).Close(); err == nil {
		t.Error("the client has seen the commit")
	}
	var n int
	if err := queryRow(db.URL("command"), "SELECT count(*) FROM seen", nil, &n); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}
