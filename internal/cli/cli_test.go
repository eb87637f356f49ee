package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

var program = Program{Name: "tool", About: "Tries things.", Default: "go", Commands: []Command{
	{Name: "go", Summary: "go on", Run: func(_ context.Context, args []string, out, _ io.Writer) error {
		flags := NewFlags("tool go", "usage: tool go [FLAGS]\n")
		fail := flags.String("fail", "", "how to `fail`")
		if err := Parse(flags, args, 0, out); err != nil {
			return err
		}
		switch *fail {
		case "silently":
			return &Exit{Status: 3}
		case "":
			_, err := fmt.Fprintln(out, "gone")
			return err
		}
		return errors.New(*fail)
	}},
}}

func TestStatusAndTextOfASubcommand(t *testing.T) {
	for _, c := range []struct {
		args       string
		status     int
		out, notes string
	}{
		{"", 0, "gone\n", ""},
		{"go", 0, "gone\n", ""},
		{"go --fail badly", 1, "", "tool: badly\n"},
		{"go --fail silently", 3, "", ""},
		{"go --help", 0, "usage: tool go [FLAGS]\n\nFlags:\n  -fail fail\n", ""},
		{"go --far", 2, "", "tool: flag provided but not defined: -far; tool go --help lists the flags\n"},
		{"go on", 2, "", "tool: unexpected argument \"on\"; tool go --help lists the flags\n"},
		{"help", 0, "usage: tool [SUBCOMMAND [FLAGS]]\n\nTries things.\n\n  go       go on\n", ""},
		{"--version", 0, "tool (devel) (commit unknown; go1.", ""},
		{"stop", 2, "", "tool: unknown subcommand \"stop\"\nusage: tool [SUBCOMMAND"},
	} {
		var out, notes bytes.Buffer
		status := program.Status(program.Run(t.Context(), strings.Fields(c.args), &out, &notes), &notes)
		if status != c.status || !begins(out.String(), c.out) || !begins(notes.String(), c.notes) {
			t.Errorf("%q: status %d, out %q, notes %q", c.args, status, out.String(), notes.String())
		}
	}
}

// begins says whether text has the prefix with. An empty prefix stands for an empty text.
func begins(text, with string) bool {
	return strings.HasPrefix(text, with) && (with != "" || text == "")
}
