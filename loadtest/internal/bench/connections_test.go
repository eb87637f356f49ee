package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

const idleConnections = 6000

// BenchmarkIdleConnections is what command needs to keep 6,000 connections open that have all been used.
func BenchmarkIdleConnections(b *testing.B) {
	s := startStack(b)
	before := s.rss(b)
	for range idleConnections {
		conn, err := net.Dial("tcp", s.commandAddr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := conn.Close(); err != nil {
				b.Error(err)
			}
		})
		if _, err := fmt.Fprintf(conn, "GET /.well-known/jwks.json HTTP/1.1\r\nHost: %s\r\n\r\n", s.commandAddr); err != nil {
			b.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			b.Fatalf("%s, %v", response.Status, err)
		}
		if err := response.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
	after := s.rss(b)
	fmt.Printf("idle   %d keep-alive connections: command needs %.0f MB, %.0f MB before\n", idleConnections, after, before)
	b.ReportMetric(after, "MB")
}
