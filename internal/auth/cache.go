package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"sync"
)

// checkedToken is a token whose signature and claims were found good.
type checkedToken struct {
	who Identity
	kid string
	key ed25519.PublicKey
}

// cache keeps the tokens that were used last, in two generations. When young is full, it replaces old. A token that
// is found in old is also put into young.
type cache struct {
	mu         sync.RWMutex
	generation int
	young, old map[[sha256.Size]byte]checkedToken
}

func newCache(generation int) *cache {
	return &cache{generation: generation, young: make(map[[sha256.Size]byte]checkedToken)}
}

func (c *cache) get(sum [sha256.Size]byte) (checkedToken, bool) {
	c.mu.RLock()
	t, young := c.young[sum]
	found := young
	if !young {
		t, found = c.old[sum]
	}
	c.mu.RUnlock()
	if found && !young {
		c.put(sum, t)
	}
	return t, found
}

func (c *cache) put(sum [sha256.Size]byte, t checkedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.generation {
		c.old, c.young = c.young, make(map[[sha256.Size]byte]checkedToken)
	}
	c.young[sum] = t
}

func (c *cache) drop(sum [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, sum)
	delete(c.old, sum)
}

func (c *cache) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}
