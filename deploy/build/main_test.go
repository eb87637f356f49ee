package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestABuildSaysHowFarItIs(t *testing.T) {
	const said = `go: downloading example.com/a v1.0.0
errors
example.com/a
go: downloading example.com/b v1.2.0
# example.com/c
c/main.go:3:5: undefined: x
example.com/b
`
	var notes, problems bytes.Buffer
	at := time.Unix(0, 0)
	clock := func() time.Time { at = at.Add(pause / 2); return at }
	if err := follow(strings.NewReader(said), &notes, &problems, clock); err != nil {
		t.Fatal(err)
	}
	if want := "          1 packages, compiled errors\n          2 packages, downloading example.com/b v1.2.0\n"; notes.String() != want {
		t.Errorf("notes:\n%s", notes.String())
	}
	if want := "# example.com/c\nc/main.go:3:5: undefined: x\n"; problems.String() != want {
		t.Errorf("problems:\n%s", problems.String())
	}
}

func TestAFailedBuildIsAnError(t *testing.T) {
	var notes, problems bytes.Buffer
	if err := build([]string{"./nothing"}, &notes, &problems); err == nil || problems.Len() == 0 {
		t.Errorf("%v, %q", err, problems.String())
	}
}
