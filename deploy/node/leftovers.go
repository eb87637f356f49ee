package main

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// killLeftovers ends the processes that a killed postmaster has left behind and that do not end by themselves, because they
// are frozen or hang. As long as one is there, PostgreSQL does not start. No postmaster may run.
func (c *Config) killLeftovers() {
	data, err := filepath.EvalSymlinks(c.Data)
	if err != nil {
		return // there are no data yet
	}
	places, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is right
	for _, place := range places {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(place)))
		if at, linkErr := os.Readlink(place); err != nil || linkErr != nil || at != data || pid == os.Getpid() {
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
	}
}
