package limit_test

import (
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/limit"
)

// Two at once, then one every half second.
func ExampleLimiter() {
	l, now := limit.NewLimiter[string](limit.Rate{PerSecond: 2, Burst: 2}), time.Unix(0, 0)
	for range 3 {
		fmt.Println(l.Take("192.0.2.1", 1, 0, now).Wait)
	}
	fmt.Println(l.Take("192.0.2.2", 1, 0, now).Wait)
	fmt.Println(l.Take("192.0.2.1", 1, 0, now.Add(500*time.Millisecond)).Wait)
	// Output:
	// 0s
	// 0s
	// 500ms
	// 0s
	// 0s
}
