package test

import (
	"bufio"
	"net"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// mostAtOnce is how many members one MULTI may write, which takes Redis some 2 ms. The test counts members and not
// time, because the count is the same on every machine.
const mostAtOnce = 5_000

// Redis answers nobody else during a MULTI. So a reload and a rebuild write large sets in pieces of at most mostAtOnce
// members, and free the former sets in the background.
func TestReloadAndRebuildWriteLargeSetsInPieces(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.exec("INSERT INTO raffles (product_id, seller_id, starts_at, ends_at) SELECT 1, 1, '2026-01-01', timestamptz '2036-01-01' + i * interval '1 minute' FROM generate_series(1, 6000) i")
	s.exec(`INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		SELECT 4, 1, 270, 1 + (random() * 300)::int * 1000, clock_timestamp() FROM generate_series(1, 25000)`)
	s.exec(`INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		SELECT 4, 1, 250 + i % 20, 5000, clock_timestamp() FROM generate_series(1, 20000) i`)
	s.reached()
	for name, act := range map[string]func(){
		"a reload": func() {
			s.must(s.redis.SAdd(s.ctx, readmodel.ReloadKey, "raffle 4", "size 270", "lists").Err())
			s.whole()
		},
		"a rebuild": func() { s.expect("rebuild", 0, "is served") },
	} {
		most, total := s.monitored(act)
		t.Logf("%s: %d members, %d in one MULTI at most", name, total, most)
		if most > mostAtOnce || total < 100_000 {
			t.Errorf("%s has written %d members, %d of them in one MULTI", name, total, most)
		}
	}
	s.equal()
}

// monitored returns how many members of sets and entries of hashes the MULTIs during act have written: in the largest
// MULTI, and in all together.
func (s *system) monitored(act func()) (most, total int) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server.Addr())
	s.must(err)
	defer conn.Close()
	lines := bufio.NewReaderSize(conn, 1<<20)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	s.must(err)
	_, err = lines.ReadString('\n')
	s.must(err)
	act()
	s.must(s.redis.Echo(s.ctx, "the end").Err())
	now := 0
	for {
		line, err := lines.ReadString('\n')
		s.must(err)
		words := monitoredWords(line)
		switch words[0] {
		case "echo":
			return most, total
		case "MULTI":
			now = 0
		case "EXEC":
			total += now
			most = max(most, now)
		default:
			now += membersOf(words)
		}
	}
}

// membersOf estimates how many members a command writes.
func membersOf(words []string) int {
	const member = 33 // the least bytes of a member in a serialised set
	switch words[0] {
	case "ZADD", "HSET":
		return (len(words) - 2) / 2
	case "RESTORE":
		return len(words[3]) / member
	case "SADD", "ZREM", "SREM":
		return len(words) - 2
	case "DEL":
		if strings.Contains(words[1], ":n:") {
			return mostAtOnce + 1 // it frees a set of any size in one go
		}
	}
	return 1
}

// monitoredWords returns the words of a command in a line of MONITOR: time [database address] "word" "word".
func monitoredWords(line string) (words []string) {
	_, line, _ = strings.Cut(line, "] ")
	for i := 0; i < len(line); i++ {
		if line[i] != '"' {
			continue
		}
		var word []byte
		for i++; i < len(line) && line[i] != '"'; i++ {
			if line[i] == '\\' {
				if i++; line[i] == 'x' {
					i += 2
				}
			}
			word = append(word, line[i])
		}
		words = append(words, string(word))
	}
	return words
}
