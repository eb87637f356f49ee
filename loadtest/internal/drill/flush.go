package drill

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

const flushTime = 10 * time.Second

// flush empties the Redis server at a URL. The commands are sent in the inline form of the protocol.
func flush(ctx context.Context, rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return errors.New("LOADTEST_REDIS_URL is no URL of a Redis server")
	}
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{Timeout: flushTime}
	if u.Scheme == "rediss" {
		dialer = &tls.Dialer{NetDialer: &net.Dialer{Timeout: flushTime}, Config: &tls.Config{MinVersion: tls.VersionTLS12}}
	}
	conn, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(flushTime)); err != nil {
		return err
	}
	commands := []string{"FLUSHALL"}
	if password, ok := u.User.Password(); ok {
		commands = []string{strings.Join(strings.Fields("AUTH "+u.User.Username()+" "+password), " "), "FLUSHALL"}
	}
	answers := bufio.NewReader(conn)
	for _, command := range commands {
		if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err != nil || !strings.HasPrefix(answer, "+") {
			return fmt.Errorf("%.8s: %s (%w)", command, strings.TrimSpace(answer), err)
		}
	}
	return nil
}
