package wal

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// History reads how the server's timeline came to be.
func (s *Stream) History(ctx context.Context, timeline uint32) (lsn.History, error) {
	if timeline <= 1 {
		return lsn.NewHistory(timeline, nil), nil // the first timeline has no history file
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	r, err := pglogrepl.TimelineHistory(ctx, s.conn, int32(timeline))
	if err != nil {
		return lsn.History{}, fmt.Errorf("history of timeline %d: %w", timeline, err)
	}
	branches, err := parseHistory(string(r.Content), timeline)
	return lsn.NewHistory(timeline, branches), err
}

// parseHistory reads a timeline history file: parent, switch point and reason on each line, the oldest first
// (PostgreSQL source, src/backend/access/transam/timeline.c).
func parseHistory(content string, timeline uint32) ([]lsn.Branch, error) {
	var branches []lsn.Branch
	for line := range strings.Lines(content) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 2 {
			return nil, fmt.Errorf("history of timeline %d: line %q", timeline, line)
		}
		parent, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("history of timeline %d: line %q: %w", timeline, line, err)
		}
		begins, err := lsn.Parse(f[1])
		if err != nil {
			return nil, fmt.Errorf("history of timeline %d: line %q: %w", timeline, line, err)
		}
		if n := len(branches); n > 0 {
			branches[n-1].Timeline = uint32(parent)
		}
		branches = append(branches, lsn.Branch{Timeline: timeline, Parent: uint32(parent), Begins: begins})
	}
	return branches, nil
}
