package testenv

import (
	"syscall"
	"testing"
)

// Kill ends the postmaster and all its children by kill -9, as a power cut of the process would.
func (p *Postgres) Kill(t testing.TB) {
	t.Helper()
	p.proc.must(t, p.proc.killTree())
}

// Pause stops the postmaster and all its children by SIGSTOP: connections stay open and nothing
// answers.
func (p *Postgres) Pause(t testing.TB) {
	t.Helper()
	p.proc.must(t, p.pause())
	p.paused = true
}

// Resume ends a Pause.
func (p *Postgres) Resume(t testing.TB) {
	t.Helper()
	_, err := p.proc.signalTree(syscall.SIGCONT)
	p.proc.must(t, err)
	p.paused = false
}

// discard ends the server for good; its data is about to be removed.
func (p *Postgres) discard() error { return p.proc.end(syscall.SIGQUIT) }
