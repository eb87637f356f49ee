package drill

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// story is what happened in a drill, second by second. It is safe for concurrent use.
type story struct {
	start time.Time

	mu      sync.Mutex
	seconds map[int]map[string]int // counts of answers by second
	lines   []storyLine
	paths   map[string]int  // plain reads by path, while counting
	onPaths bool            // counting
	failed  int             // requests that did not succeed
	told    map[string]bool // first reasons
}

type storyLine struct {
	at   time.Duration
	text string
}

// maxLines bounds a story.
const maxLines = 400

func newStory(start time.Time) *story {
	return &story{start: start, seconds: make(map[int]map[string]int), paths: make(map[string]int), told: make(map[string]bool)}
}

// say adds a line.
func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(fmt.Sprintf(format, args...))
}

func (s *story) add(text string) {
	if len(s.lines) < maxLines {
		s.lines = append(s.lines, storyLine{time.Since(s.start), text})
	}
}

// count counts an event of a kind ("bid 201") and tells the first of each reason.
func (s *story) count(kind, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := int(time.Since(s.start).Seconds())
	if s.seconds[at] == nil {
		s.seconds[at] = make(map[string]int)
	}
	s.seconds[at][kind]++
	if first := kind + ": " + reason; reason != "" && !s.told[first] && len(s.told) < 5*kept {
		s.told[first] = true
		s.add("first " + first)
	}
}

// fail counts a request that did not succeed.
func (s *story) fail(kind, reason string) {
	s.mu.Lock()
	s.failed++
	s.mu.Unlock()
	s.count(kind, reason)
}

// failures is the number of requests that did not succeed.
func (s *story) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// path counts the path of a plain read, between countPaths(true) and countPaths(false).
func (s *story) path(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onPaths {
		s.paths[name]++
	}
}

func (s *story) countPaths(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onPaths = on
}

// served is the count of plain reads by path during the failure.
func (s *story) served() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.paths)
}

// write tells the story: the lines, and the counts of each second where they belong.
func (s *story) write(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := slices.Clone(s.lines)
	for second, counts := range s.seconds {
		parts := make([]string, 0, len(counts))
		for _, kind := range slices.Sorted(maps.Keys(counts)) {
			parts = append(parts, fmt.Sprintf("%d %s", counts[kind], kind))
		}
		lines = append(lines, storyLine{time.Duration(second+1)*time.Second - 1, "  " + strings.Join(parts, ", ")})
	}
	slices.SortStableFunc(lines, func(a, b storyLine) int { return int(a.at - b.at) })
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "    %6.2f s  %s\n", l.at.Seconds(), l.text); err != nil {
			return err
		}
	}
	return nil
}
