package verify

import "fmt"

// The digest of members does not depend on their order, and it follows additions and removals.
func Example_digest() {
	h := newHasher()
	var redis, primary digest
	for _, member := range []string{"a", "b", "c"} {
		redis.add(h.of([]byte(member)), 1)
	}
	for _, member := range []string{"c", "x", "b", "a"} {
		primary.add(h.of([]byte(member)), 1)
	}
	fmt.Println(redis == primary)
	primary.add(h.of([]byte("x")), -1)
	fmt.Println(redis == primary)
	// Output:
	// false
	// true
}
