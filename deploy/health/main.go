// Command health asks a program of its own container whether it is ready: `health https://127.0.0.1:9081/readyz CA`, where CA
// is the file of the certificate authority. The images of the services have no shell and no other program that could ask.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// patience bounds the question.
const patience = 2 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: health https://HOST:PORT/PATH CA")
	}
	address, path, ok := strings.Cut(strings.TrimPrefix(args[0], "https://"), "/")
	if !ok {
		return fmt.Errorf("%q has no path", args[0])
	}
	authority, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return ask(address, path, roots)
}

// ask succeeds if the answer's status is 200. The whole HTTP client would double the program's size.
func ask(address, path string, roots *x509.CertPool) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n", path, address); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if fields := strings.Fields(line); len(fields) < 2 || fields[1] != "200" {
		return fmt.Errorf("%s/%s: %s", address, path, strings.TrimSpace(line))
	}
	return nil
}
