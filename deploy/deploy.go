// Package deploy is the one description of the stack: it renders the configurations of all servers and the
// environments of all services. `make up`, the tests, the benchmarks and the drills use it.
//
// A renderer returns Files, which depend on its arguments alone. Write puts them into a folder.
package deploy

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"text/template"
)

//go:embed alertmanager haproxy logrotate netdata/*.conf netdata/plugin.sh pgbackrest pgpool postgres prometheus redis repmgr supervisor
var templates embed.FS

// Loopback is the default of every field Host.
const Loopback = "127.0.0.1"

// Files are named by their paths within a folder.
type Files map[string]File

// File is a rendered file.
type File struct {
	Content string
	Mode    fs.FileMode
	// Postgres says that the file belongs to the user that PostgreSQL and pgpool-II run as.
	Postgres bool
}

// Setting is a setting of a server beyond the template's; a later one wins.
type Setting struct{ Name, Value string }

// add renders a template into the file of that name.
func (f Files) add(name, source string, mode fs.FileMode, postgres bool, data any) error {
	text, err := render(source, data)
	if err != nil {
		return err
	}
	f[name] = File{text, mode, postgres}
	return nil
}

func render(source string, data any) (string, error) {
	text, err := templates.ReadFile(source)
	if err != nil {
		return "", err
	}
	return execute(source, string(text), data)
}

func execute(name, text string, data any) (string, error) {
	t, err := template.New(name).Funcs(functions).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	return b.String(), nil
}

var functions = template.FuncMap{
	"word": word, "port": checkPort, "megabytes": atLeastOne, "quote": quote, "share": share, "argument": argument,
	"inc": func(i int) int { return i + 1 },
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// word refuses a value that some configuration would take for more or less than one word.
func word(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("a value is empty")
	case !plain.MatchString(s):
		return "", fmt.Errorf("%q has characters that a configuration can't hold", s)
	}
	return s, nil
}

func checkPort(port int) (int, error) {
	if port < 1 || port > 65535 {
		return 0, fmt.Errorf("%d is not a port", port)
	}
	return port, nil
}

func atLeastOne(n int) (int, error) {
	if n < 1 {
		return 0, fmt.Errorf("%d is not a size", n)
	}
	return n, nil
}

// quote is for the inside of a quoted value of PostgreSQL.
func quote(s string) string { return strings.ReplaceAll(s, "'", "''") }

// share is the part of a limit that each instance gets.
func share(limit int, among []Instance) int { return max(1, limit/len(among)) }

func orLoopback(host string) string {
	if host == "" {
		return Loopback
	}
	return host
}

func orLocalClients(clients []string) []string {
	if len(clients) == 0 {
		return []string{Loopback + "/32"}
	}
	return clients
}

// Address is where a server listens. The default of Host is Loopback.
type Address struct {
	Host string
	Port int
}

func (a Address) String() string { return fmt.Sprintf("%s:%d", orLoopback(a.Host), a.Port) }

// defaults returns a copy of the list with all hosts set.
func defaults(list []Peer) []Peer {
	list = append([]Peer(nil), list...)
	for i := range list {
		list[i].Host = orLoopback(list[i].Host)
	}
	return list
}
