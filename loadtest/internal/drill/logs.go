package drill

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// logs are the logs of all programs in one folder, and up to where each was read.
type logs struct {
	folder string
	read   map[string]int64 // bytes by file
}

// logError is how PostgreSQL, pgpool-II, the services, HAProxy, Prometheus and the exporters mark an error.
var logError = regexp.MustCompile(`\b(ERROR|FATAL|PANIC)\b|\[ALERT\]|\blevel=error\b`)

// gaveUp is what PostgreSQL and pgpool-II log if query gives up a lookup that took longer than its budget, as may happen on a busy
// machine.
var gaveUp = regexp.MustCompile(`query@\S+ .*(canceling statement due to user request|connection to client lost)|unable to flush data to frontend`)

// news returns the lines with an error that were written since the last call.
func (l *logs) news() (found []string, err error) {
	files, err := filepath.Glob(filepath.Join(l.folder, "*.log"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no log in %s", l.folder)
	}
	for _, file := range files {
		lines, failed := l.newsOf(file)
		found, err = append(found, lines...), errors.Join(err, failed)
	}
	return found, err
}

func (l *logs) newsOf(file string) (found []string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := l.read[file]
	if info.Size() < from { // it was rotated
		from = 0
	}
	l.read[file] = info.Size()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(bufio.NewReader(io.LimitReader(f, info.Size()-from)))
	for line := range strings.Lines(string(text)) {
		if logError.MatchString(line) && !gaveUp.MatchString(line) {
			found = append(found, fmt.Sprintf("%s: %.300s", filepath.Base(file), strings.TrimSpace(line)))
		}
	}
	return found, err
}

// noErrors fails if a log got an error since the step that passed over what was there.
func (s *set) noErrors() error {
	found, err := s.logs.news()
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%d errors are in the logs; the first: %s", len(found), found[0])
	}
	return err
}
