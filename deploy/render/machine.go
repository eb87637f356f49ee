package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// machine is what the stack has to share.
type machine struct {
	memoryMB int
	osUser   string
	postgres *deploy.Owner // nil unless the files of Postgres have to be given away
}

func thisMachine(pgUser string) (machine, error) {
	memory, memoryErr := memoryMB()
	me, err := user.Current()
	if err != nil {
		return machine{}, err
	}
	m := machine{memoryMB: memory, osUser: me.Username}
	if pgUser != me.Username {
		m.postgres, err = owner(pgUser)
	}
	return m, errors.Join(memoryErr, err)
}

func owner(name string) (*deploy.Owner, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	return &deploy.Owner{UID: uid, GID: gid}, errors.Join(uidErr, gidErr)
}

func memoryMB() (int, error) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(info)) {
		var kilobytes int
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kilobytes); err == nil {
			return kilobytes >> 10, nil
		}
	}
	return 0, errors.New("/proc/meminfo has no MemTotal")
}

// part is a share of the memory in MB, within bounds.
func (m machine) part(numerator, denominator, low, high int) int {
	return min(max(m.memoryMB*numerator/denominator, low), high)
}

// descriptors is how many a program may have.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(max(limit.Max, 1024), 65536))
}

// passwords are by role.
type passwords map[string]string

// roles have passwords. The operator is a user of Redis and no role.
var roles = []string{"migrator", "command", "query", "replicator", "standby", "repmgr", "pgpool", "exporter", "operator"}

// readPasswords reads the files of the named passwords.
func readPasswords(folder string, names []string) (passwords, error) {
	var errs []error
	p := passwords{}
	for _, role := range names {
		text, err := os.ReadFile(filepath.Join(folder, role+".password"))
		if p[role] = strings.TrimSpace(string(text)); err == nil && p[role] == "" {
			err = fmt.Errorf("the password of %s is empty", role)
		}
		errs = append(errs, err)
	}
	// What is still good of a password that is being changed.
	for _, role := range roles {
		last, err := readIfThere(filepath.Join(folder, role+".last.password"))
		p[role+".last"] = strings.TrimSpace(last)
		errs = append(errs, err)
	}
	return p, errors.Join(errs...)
}
