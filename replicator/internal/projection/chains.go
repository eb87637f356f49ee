package projection

// chains are linked lists of entries. Each list has a key, and the lists are in the order in which they were begun.
type chains[K comparable] struct {
	which  int
	list   []chain[K]
	latest map[K]int32
}

type chain[K comparable] struct {
	key        K
	head, tail int32
	length     int
}

func (c *chains[K]) reset() {
	clear(c.latest)
	c.list = c.list[:0]
}

// end makes sure that the latest chain of the key does not grow any longer, because the commands after it depend on its
// content.
func (c *chains[K]) end(key K) { delete(c.latest, key) }

// add appends the entry to the latest chain of the key, or to a new one.
func (c *chains[K]) add(entries []entry, index int32, key K) {
	entries[index].next[c.which] = -1
	if i, ok := c.latest[key]; ok {
		chain := &c.list[i]
		entries[chain.tail].next[c.which] = index
		chain.tail = index
		chain.length++
		return
	}
	c.latest[key] = int32(len(c.list))
	c.list = append(c.list, chain[K]{key: key, head: index, tail: index, length: 1})
}
