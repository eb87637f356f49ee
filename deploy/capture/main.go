// Command capture runs a command and listens on the loopback device meanwhile. It fails if a secret of the local stack
// goes over the wire in plain text, or if a connection to one of the ports does not begin as TLS does. It needs root.
//
//	capture SECRETS PORT[,PORT...] PORT[,PORT...] COMMAND...
//
// SECRETS is a folder with files *.password. The second list is of ports that need not speak TLS; secrets are looked for
// there, too.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// words are parts of bids, tokens, logins and statements. They are so long that no ciphertext has them by chance.
var words = map[string]string{
	"a bid": `"price":`, "a token": "eyJhbGciOi", "an access token": "access_token", "a login": `"password":`, "a statement": "SELECT ",
	"a write": "INSERT INTO", "an authorization": "uthorization: Bearer", "a raffle's bids": "/v1/raffles/",
}

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: capture SECRETS PORTS PLAIN-PORTS COMMAND...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run(folder, secured, others string, command []string, out io.Writer) error {
	secrets, err := readSecrets(folder)
	if err != nil {
		return err
	}
	must, err := parsePorts(secured)
	if err != nil {
		return err
	}
	may, err := parsePorts(others)
	if err != nil {
		return err
	}
	tap, err := listen("lo")
	if err != nil {
		return fmt.Errorf("listen on the loopback device, which takes root: %w", err)
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer control.Close()
	own := uint16(control.Addr().(*net.TCPAddr).Port)
	secrets[controlName] = []byte(rand.Text())
	w := newWire(append(append(must, may...), own), secrets)
	heard := make(chan error, 1)
	go func() { heard <- tap.each(w.packet) }()
	c := exec.Command(command[0], command[1:]...)
	c.Stdout, c.Stderr = out, os.Stderr
	err = errors.Join(say(control.Addr().String(), secrets[controlName]), c.Run())
	dropped, dropErr := tap.dropped()
	tap.close()
	err = errors.Join(err, dropErr, <-heard)
	if err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	if err := w.forget(own); err != nil {
		return err
	}
	return w.verdict(out, must, dropped)
}

// forget takes out what this program has said itself.
func (w *wire) forget(port uint16) error {
	said := fmt.Sprintf("port %d: %s", port, controlName)
	if !w.found[said] {
		return errors.New("what this program itself has said in plain text was not heard")
	}
	delete(w.found, said)
	delete(w.bytes, port)
	return nil
}

// controlName is what this program says in plain text, so that it is sure to hear others.
const controlName = "its own words"

func say(address string, words []byte) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	_, err = conn.Write(words)
	return errors.Join(err, conn.Close())
}

// verdict prints what was heard of each port.
func (w *wire) verdict(out io.Writer, must []uint16, dropped int) error {
	for _, port := range slices.Sorted(maps.Keys(w.bytes)) {
		fmt.Fprintf(out, "port %-5d  %9d bytes  %4d new connections, %d of them in plain text\n", port, w.bytes[port], w.opened[port]/2, w.plain[port]/2)
	}
	var errs []error
	for _, what := range slices.Sorted(maps.Keys(w.found)) {
		errs = append(errs, fmt.Errorf("%s in plain text", what))
	}
	for _, port := range must {
		if w.plain[port] > 0 {
			errs = append(errs, fmt.Errorf("port %d: connections that are not TLS", port))
		}
	}
	if len(w.bytes) == 0 {
		errs = append(errs, errors.New("nothing was heard"))
	}
	if dropped > 0 {
		errs = append(errs, fmt.Errorf("%d packets were missed", dropped))
	}
	if len(errs) == 0 {
		fmt.Fprintf(out, "none of %d secrets and words was heard\n", len(w.secrets))
	}
	return errors.Join(errs...)
}

func readSecrets(folder string) (map[string][]byte, error) {
	secrets := map[string][]byte{}
	for what, word := range words {
		secrets[what] = []byte(word)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.password"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		secrets["the password of "+strings.TrimSuffix(filepath.Base(file), ".password")] = []byte(strings.TrimSpace(string(text)))
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no passwords", folder)
	}
	return secrets, nil
}

func parsePorts(list string) ([]uint16, error) {
	var ports []uint16
	for text := range strings.SplitSeq(list, ",") {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, err
		}
		ports = append(ports, uint16(port))
	}
	return ports, nil
}
