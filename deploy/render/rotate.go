package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

// tokenLife is the longest TOKEN_TTL.
const tokenLife = 24 * time.Hour

// rotate changes secrets of the running stack while it works.
func rotate(ctx context.Context, what string) error {
	s, err := env.Parse(&settings{})
	if err != nil {
		return err
	}
	switch what {
	case "keys":
		return auth.Rotate(filepath.Join(s.Secrets, "jwt"), time.Now(), tokenLife)
	case "passwords":
		return rotatePasswords(ctx, s)
	case "certificates":
		if s.TLS != "yes" {
			return errors.New("the stack speaks plain text, so it has no certificates: make up TLS=1")
		}
		if err := renderAll(true); err != nil {
			return err
		}
		return reload(ctx, s)
	case "reload":
		return reload(ctx, s)
	}
	return fmt.Errorf("%q is none of certificates, passwords, keys and reload", what)
}

// current is the stack with the passwords that are in the files now.
func current(s *settings) (stack, error) {
	p, err := readPasswords(s.Secrets, roles)
	return stack{settings: s, passwords: p, getenv: os.Getenv}, err
}

// reload lets the servers read their certificates, if these have changed since the last time. Services, Prometheus and
// the exporters notice a new file by themselves.
func reload(ctx context.Context, settings *settings) error {
	s, err := current(settings)
	if err != nil || s.TLS != "yes" {
		return err
	}
	now, err := s.fingerprint()
	if err != nil {
		return err
	}
	file := filepath.Join(s.Run, "certificates")
	last, err := readIfThere(file)
	if err != nil || last == now {
		return err
	}
	if last == "" { // they have been started with these
		return os.WriteFile(file, []byte(now), 0o600)
	}
	for i, name := range names {
		if err := s.superuser(ctx, i, "SELECT pg_reload_conf()"); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	pem := s.tls("redis").File
	if err := s.tellRedis(ctx, s.passwords["operator"], "CONFIG", "SET", "tls-cert-file", pem, "tls-key-file", pem); err != nil {
		return err
	}
	if err := s.tellHAProxy(ctx); err != nil {
		return err
	}
	// pgpool-II and netdata read a certificate at their start only. Reads take another path meanwhile.
	restarted := []string{"restart", "pgpool"}
	if s.Monitor == netdata {
		restarted = append(restarted, netdata)
	}
	if err := s.ctl(ctx, restarted...); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(now), 0o600)
}

// rotatePasswords gives every role a new password. Redis knows both passwords until the services have the new one.
// PostgreSQL asks only new connections for a password, and the services read the file with theirs for each of them. The
// file is written right after the roles have their new passwords. Everybody else is restarted.
func rotatePasswords(ctx context.Context, settings *settings) error {
	if err := newPasswords(settings.Secrets); err != nil {
		return err
	}
	s, err := current(settings)
	if err != nil {
		return err
	}
	if err := s.learnPasswords(ctx, s.passwords["operator.last"]); err != nil {
		// An earlier run was broken off after Redis had forgotten the last passwords.
		if again := s.learnPasswords(ctx, s.passwords["operator"]); again != nil {
			return errors.Join(err, again)
		}
	}
	if err := s.setRolePasswords(ctx); err != nil {
		return err
	}
	if err := renderAll(false); err != nil {
		return err
	}
	if err := s.restartInTurn(ctx); err != nil {
		return err
	}
	if err := s.forgetPasswords(ctx, s.passwords["operator"]); err != nil {
		return err
	}
	for _, role := range roles {
		if err := os.Remove(filepath.Join(s.Secrets, role+".last.password")); err != nil {
			return err
		}
	}
	return renderAll(false)
}

// newPasswords keeps the last passwords beside the new ones. If an earlier run was broken off, its last passwords stay.
func newPasswords(folder string) error {
	for _, role := range roles {
		file, last := filepath.Join(folder, role+".password"), filepath.Join(folder, role+".last.password")
		if text, err := readIfThere(last); err != nil || text != "" {
			if err != nil {
				return err
			}
			continue
		}
		random := make([]byte, 24)
		if _, err := rand.Read(random); err != nil {
			return err
		}
		err := os.Rename(file, last)
		if err == nil {
			err = os.WriteFile(file, []byte(hex.EncodeToString(random)+"\n"), 0o600)
		}
		if err != nil {
			return fmt.Errorf("password of %s: %w", role, err)
		}
	}
	return nil
}

// restartInTurn restarts every program that knows a password and waits until it works again.
func (s stack) restartInTurn(ctx context.Context) error {
	for _, program := range s.Programs {
		kind, number, _ := strings.Cut(program, "-")
		port := map[string]int{"command": s.CommandPort, "query": s.QueryPort, "replicator": s.ReplicatorPort}[kind]
		if port == 0 && kind != "pgpool" && kind != "exporter" {
			continue
		}
		if err := s.ctl(ctx, "restart", program); err != nil {
			return err
		}
		if port == 0 {
			continue
		}
		if err := s.awaitReady(ctx, port+adminOffset+instanceOffset*(int(number[0])-'1')); err != nil {
			return fmt.Errorf("%s: %w", program, err)
		}
	}
	return nil
}
