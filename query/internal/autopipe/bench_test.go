package autopipe

import (
	"strconv"
	"testing"
	"time"
)

// BenchmarkLookups reads 50 members a lookup, for 256 clients at once.
func BenchmarkLookups(b *testing.B) {
	c, _, _ := start(b, func(o *Options) {
		o.Budget, o.Light.Pipeline, o.Light.Waiting = time.Second, 20_000, 250_000
	})
	for i := range 2000 {
		command(b, c, "ZADD", "key", strconv.Itoa(i), strconv.Itoa(1e12+i)+"-member")
	}
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := c.Request()
			r.Rows(51)
			r.Add("ZRANGE", "key", "0", "50", "REV")
			if _, err := r.Do(b.Context()); err != nil || r.Replies.Len() != 51 {
				b.Error(err)
			}
			r.Release()
		}
	})
}
