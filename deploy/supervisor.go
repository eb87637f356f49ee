package deploy

import (
	"errors"
	"fmt"
	"strings"
)

// Supervisor keeps the programs of a stack that is all on one machine.
type Supervisor struct {
	LocalDir, Logs, Run string // folders
	User                string // who it runs as, if root starts it
	Descriptors         int    // how many a program must be allowed to have
	PGVersion           int
	// Starter is a program that becomes the program whose name it gets.
	Starter string
	// Programs are in the order in which they are started.
	Programs []string
}

// Files is its whole configuration, and that of logrotate, which it keeps running.
func (s Supervisor) Files() (Files, error) {
	if len(s.Programs) == 0 {
		return nil, errors.New("no programs to supervise")
	}
	files := Files{}
	return files, errors.Join(files.add("supervisord.conf", "supervisor/supervisord.conf", 0o600, false, s),
		files.add("logrotate.conf", "logrotate/logrotate.conf", 0o644, false, s))
}

// StopSignal is the signal that ends a program without loss.
func (Supervisor) StopSignal(program string) string {
	if program == "pgpool" || isPostgres(program) {
		return "INT"
	}
	return "TERM"
}

// StopSeconds is how long a program may take to stop. A shutdown of Postgres ends with a checkpoint, and supervisor
// would kill it in the middle.
func (Supervisor) StopSeconds(program string) int {
	if isPostgres(program) {
		return 180
	}
	return 15
}

func isPostgres(program string) bool {
	return program == "witness" || strings.HasPrefix(program, "postgres-")
}

// argument quotes a path for a command line in a configuration of supervisor, which expands %.
func argument(path string) (string, error) {
	if path == "" || strings.ContainsAny(path, "\"\\\r\n") {
		return "", fmt.Errorf("%q is no path that a command line can hold", path)
	}
	return `"` + strings.ReplaceAll(path, "%", "%%") + `"`, nil
}
