package engine

import (
	"fmt"
	"time"
)

// Latency is counted from these times, whatever became of the requests before.
func ExampleStages() {
	steady, ramp := constant(400), Stages{{time.Second, 200}} // 400/s; from 0/s to 200/s within a second
	for n := range 3 {
		fmt.Println(steady.offset(float64(n)), ramp.offset(float64(n)))
	}
	// Output:
	// 0s 0s
	// 2.5ms 100ms
	// 5ms 141.421356ms
}
