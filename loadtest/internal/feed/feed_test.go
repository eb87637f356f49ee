package feed

import (
	"slices"
	"strings"
	"testing"
)

// A feed must have each acknowledged bid once; after a reset, what was read anew counts and events may come again.
func TestLogFindsLostAndDoubledEvents(t *testing.T) {
	bids := func(l *Log, ids ...int64) {
		for _, id := range ids {
			l.Bid(id)
		}
	}
	for _, c := range []struct {
		name          string
		events        func(*Log)
		lost, doubled []int64
		resets        int
	}{
		{"all", func(l *Log) { bids(l, 1, 2, 3) }, nil, nil, 0},
		{"one is lost", func(l *Log) { bids(l, 1, 3) }, []int64{2}, nil, 0},
		{"one comes twice", func(l *Log) { bids(l, 1, 2, 3, 2) }, nil, []int64{2}, 0},
		{"a reset, the gap read anew", func(l *Log) { bids(l, 1); l.Reset([]int64{1, 2}); bids(l, 3) }, nil, nil, 1},
		{"a reset, something still missing", func(l *Log) { bids(l, 1); l.Reset([]int64{1}); bids(l, 3) }, []int64{2}, nil, 1},
		{"events again after a reset", func(l *Log) { bids(l, 1, 2); l.Reset(nil); bids(l, 2, 3) }, nil, nil, 1},
		{"twice after a reset", func(l *Log) { bids(l, 1, 2); l.Reset(nil); bids(l, 3, 3) }, nil, []int64{3}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l Log
			c.events(&l)
			if lost, doubled := l.Missing([]int64{1, 2, 3}), l.Repeated(); !slices.Equal(lost, c.lost) || !slices.Equal(doubled, c.doubled) || l.Resets() != c.resets {
				t.Errorf("lost %v, doubled %v, %d resets", lost, doubled, l.Resets())
			}
		})
	}
}

func TestMessagesOfAFeed(t *testing.T) {
	text := "retry: 700\nevent: start\nid: 1.2-0\ndata: {}\n\n:\nid: 1.3-0\n\nevent: bid\nid: 1.4-1\ndata: {\"id\":7}\n\nevent: bid\nid: cut"
	var got []Message
	err := read(strings.NewReader(text), func(m Message) error { got = append(got, m); return nil })
	want := []Message{{"start", "1.2-0", "{}"}, {"", "1.3-0", ""}, {"bid", "1.4-1", `{"id":7}`}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}
