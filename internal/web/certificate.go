package web

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often a handshake looks whether the certificate's file has changed.
const lookEvery = time.Second

// certificate is that of a file. A file that is replaced is read again, so no restart is needed for a new certificate.
type certificate struct {
	file string
	log  *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time // when the file was written that pair is from
	looked  time.Time
}

// Secure makes both listeners speak TLS only. The PEM file has the certificate and its key, so that both change at once.
func (s *Servers) Secure(file string) error {
	c := &certificate{file: file, log: s.log}
	if err := c.read(); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: c.get}
	s.public, s.admin = tls.NewListener(s.public, config), tls.NewListener(s.admin, config)
	return nil
}

// Close closes both listeners, of servers that were not added to a group.
func (s *Servers) Close() error {
	return errors.Join(s.public.Close(), s.admin.Close())
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if info, err := os.Stat(c.file); err != nil || !info.ModTime().Equal(c.changed) {
			if err == nil {
				err = c.read()
			}
			if err != nil { // the last certificate is still good
				c.log.Error("certificate not read", "error", err)
			} else {
				c.log.Info("new certificate", "until", c.pair.Leaf.NotAfter)
			}
		}
	}
	return c.pair, nil
}

func (c *certificate) read() error {
	info, err := os.Stat(c.file)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.file, c.file)
	if err != nil {
		return fmt.Errorf("%s: %w", c.file, err)
	}
	c.pair, c.changed = &pair, info.ModTime()
	return nil
}
