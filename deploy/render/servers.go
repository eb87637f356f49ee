package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

const (
	answerTime = 15 * time.Second
	readyTime  = time.Minute
	// usedAgain is how long HAProxy and the other programs take to use a program again that is ready.
	usedAgain = 2 * time.Second
)

// fingerprint changes with every certificate.
func (s stack) fingerprint() (string, error) {
	all := make([]string, 0, len(parts))
	for part := range parts {
		text, err := os.ReadFile(s.tls(part).File)
		if err != nil {
			return "", err
		}
		all = append(all, fmt.Sprintf("%s %x", part, sha256.Sum256(text)))
	}
	sort.Strings(all)
	return strings.Join(all, "\n") + "\n", nil
}

// use connects to a node over its socket as the superuser.
func (s stack) use(ctx context.Context, node int, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", s.Run, s.address(node).Port))
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, conn), conn.Close(ctx))
}

func (s stack) superuser(ctx context.Context, node int, sql string) error {
	return s.use(ctx, node, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql)
		return err
	})
}

// setRolePasswords sets the passwords of all roles on the node that leads, and that of repmgr on the witness, too.
func (s stack) setRolePasswords(ctx context.Context) error {
	alter := func(role string) string { return "ALTER ROLE " + role + " PASSWORD '" + s.passwords[role] + "';" } // hexadecimal
	all := alter("repmgr")
	for _, r := range migrations.Roles {
		all += alter(r.Name)
	}
	if err := s.superuser(ctx, 2, alter("repmgr")); err != nil {
		return fmt.Errorf("%s: %w", names[2], err)
	}
	led := false
	for node := range s.databaseNodes() {
		err := s.use(ctx, node, func(ctx context.Context, c *pgx.Conn) error {
			var standby bool
			if err := c.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || standby {
				return err
			}
			led = true
			_, err := c.Exec(ctx, all)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", names[node], err)
		}
	}
	if !led {
		return errors.New("no node leads")
	}
	return nil
}

// learnPasswords adds the present password of each user of Redis, and forgetPasswords removes the last one. Redis refuses
// to forget what it does not know, so it learns it before. operator is a password of the operator.
func (s stack) learnPasswords(ctx context.Context, operator string) error {
	return s.setUsers(ctx, operator, func(user string) []string { return []string{"#" + hash(s.passwords[user])} })
}

func (s stack) forgetPasswords(ctx context.Context, operator string) error {
	return s.setUsers(ctx, operator, func(user string) []string {
		last := hash(s.passwords[user+".last"])
		return []string{"#" + last, "!" + last}
	})
}

func hash(password string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(password))) }

func (s stack) setUsers(ctx context.Context, operator string, change func(user string) []string) error {
	if s.TLS != "yes" {
		return nil
	}
	for user := range s.redisPasswords() {
		if err := s.tellRedis(ctx, operator, append([]string{"ACL", "SETUSER", user}, change(user)...)...); err != nil {
			return err
		}
	}
	return nil
}

// tellRedis sends one command as the operator.
func (s stack) tellRedis(ctx context.Context, password string, command ...string) error {
	roots, err := s.roots()
	if err != nil {
		return err
	}
	conn, err := resp.Dial(ctx, resp.Options{
		Network: "tcp", Addr: deploy.Address{Port: s.RedisPort}.String(), Username: "operator", Password: password, DialTimeout: answerTime,
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	var out resp.Commands
	out.Add(command...)
	if _, err := conn.Write(out.Wire); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	reply, err := conn.Next()
	if err == nil {
		err = reply.Err()
	}
	if err != nil {
		return fmt.Errorf("redis: %s %s: %w", command[0], command[1], err)
	}
	return nil
}

func (s stack) roots() (*x509.CertPool, error) {
	text, err := os.ReadFile(s.tls("").CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return roots, nil
}

// tellHAProxy replaces the certificate in the running HAProxy, which then needs no reload, so that feeds go on.
func (s stack) tellHAProxy(ctx context.Context) error {
	file := s.tls("haproxy").File
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, c := range []struct{ command, answer string }{
		{fmt.Sprintf("set ssl cert %s <<\n%s\n", file, text), "Transaction"}, {"commit ssl cert " + file + "\n", "Success"},
	} {
		answer, err := s.askHAProxy(ctx, c.command)
		if err == nil && !strings.Contains(answer, c.answer) {
			err = errors.New(strings.TrimSpace(answer))
		}
		if err != nil {
			return fmt.Errorf("haproxy does not take its certificate: %w", err)
		}
	}
	return nil
}

func (s stack) askHAProxy(ctx context.Context, command string) (string, error) {
	conn, err := (&net.Dialer{Timeout: answerTime}).DialContext(ctx, "unix", filepath.Join(s.Run, "haproxy.sock"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(command)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// ctl runs the script of that name, which stands beside the starter.
func (s stack) ctl(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, filepath.Join(filepath.Dir(s.Starter), "ctl"), args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("ctl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// awaitReady waits until a service is ready and used again.
func (s stack) awaitReady(ctx context.Context, port int) error {
	transport := &http.Transport{DisableKeepAlives: true}
	if s.TLS == "yes" {
		roots, err := s.roots()
		if err != nil {
			return err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	client := &http.Client{Timeout: answerTime, Transport: transport}
	url := fmt.Sprintf("%s://%s/readyz", s.scheme("http"), deploy.Address{Port: port})
	for end := time.Now().Add(readyTime); ; {
		err := isReady(ctx, client, url)
		if err == nil {
			return pause(ctx, usedAgain)
		}
		if time.Now().After(end) {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func isReady(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := answer.Body.Close(); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
