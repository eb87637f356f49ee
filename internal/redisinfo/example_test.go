package redisinfo_test

import (
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
)

// A restarted server counts from 0.
func ExampleEvictedSince() {
	fmt.Println(redisinfo.EvictedSince("run1:3", "run1:3"))
	fmt.Println(redisinfo.EvictedSince("run1:3", "run1:4"))
	fmt.Println(redisinfo.EvictedSince("run1:3", "run2:0"))
	// Output:
	// false
	// true
	// false
}
