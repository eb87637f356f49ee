package engine

import "fmt"

// Latency is counted from these times, whatever became of the requests before.
func Example_arrivalOffset() {
	for n := range int64(3) {
		fmt.Println(arrivalOffset(n, 400))
	}
	// Output:
	// 0s
	// 2.5ms
	// 5ms
}
