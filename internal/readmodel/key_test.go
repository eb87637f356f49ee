package readmodel

import "testing"

func TestKeysAreParsed(t *testing.T) {
	const e = Epoch(1764266716123)
	for _, k := range []Key{
		{KindNewest, e, 9001, 270}, {KindHighest, e, 9001, 270}, {KindSizes, e, 9001, 0}, {KindRaffle, e, 9001, 0}, {KindLive, e, 9001, 0},
		{KindSizeNewest, e, 0, 270}, {KindSizeFloor, e, 0, 270}, {KindAllSizes, e, 0, 0}, {KindRaffles, e, 0, 0}, {KindVersion, e, 0, 0}, {KindProducts, e, 0, 0},
	} {
		if got, ok := ParseKey(k.String()); !ok || got != k {
			t.Errorf("%s is %+v, %v", k, got, ok)
		}
		if of, ours := EpochOf(k.String()); !ours || of != e {
			t.Errorf("%s is of epoch %d, %v", k, of, ours)
		}
	}
}

func TestOtherKeysAreNotParsed(t *testing.T) {
	for _, name := range []string{
		"", "session:7", CheckpointKey, "{r1}", "{r1}:5", "{r1}:5:n", "{r1}:5:n:", "{r1}:5:n:0270", "{r1}:5:n:99999", "{r01}:5:raffle", "{r}:5:raffle",
		"{r1}:5:raffle:1", "{r1}:x:raffle", "{s270}:5:newest:1", "{s}:5:newest", "{s270}:5:n:270", "{raffles}:5:other", "{sizes}:5:version", "{products}:5:version", "{x1}:5:raffle", "{r1}:5:",
	} {
		if k, ok := ParseKey(name); ok {
			t.Errorf("%q is %+v", name, k)
		}
	}
}
