package drill

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// watch follows the nodes of a drill and keeps the most leaders that were seen at once. The nodes answer one after the
// other, so that in a switchover both may seem to lead. Two leaders count only if both still lead in their next answers.
type watch struct {
	mu      sync.Mutex
	nodes   map[string]Node
	answers map[string]int // of each node
	doubted map[string]int // the answers of the nodes when two first seemed to lead; nil: at most one does
	leaders int
	broken  error // why the watch ended before the drill
}

// saw takes the answer of a node, and returns the nodes by their last answers, in the order of their names.
func (w *watch) saw(n Node) []Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.nodes == nil {
		w.nodes, w.answers = map[string]Node{}, map[string]int{}
	}
	w.nodes[n.Node] = n
	w.answers[n.Node]++
	var list []Node
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		list = append(list, w.nodes[name])
	}
	leading := leaders(list)
	switch {
	case len(leading) < 2:
		w.doubted = nil
		w.leaders = max(w.leaders, len(leading))
	case w.doubted == nil:
		w.doubted = maps.Clone(w.answers)
	case !slices.ContainsFunc(leading, func(name string) bool { return w.answers[name] == w.doubted[name] }):
		w.leaders = len(leading)
	}
	return list
}

func (w *watch) most() (leaders int, broken error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leaders, w.broken
}

// watchNodes tells the story of the nodes until ctx ends.
func (s *stage) watchNodes(ctx context.Context) {
	last := ""
	err := s.ctl.Watch(ctx, func(n Node) {
		if now := describe(s.split.saw(n)); now != last {
			last = now
			s.story.say("%s", now)
		}
	})
	if ctx.Err() == nil {
		s.split.mu.Lock()
		defer s.split.mu.Unlock()
		s.split.broken = err
	}
}
