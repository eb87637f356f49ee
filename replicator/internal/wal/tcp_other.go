//go:build !linux

package wal

import "syscall"

func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
