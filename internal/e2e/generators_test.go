package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// generatorTime is how long all generators may take, if they have to be built first.
const generatorTime = 8 * time.Minute

// workshop is a folder in which clients are made of the joined document.
type workshop struct {
	dir string
	t   *testing.T
}

// Four generators make clients of the joined document. These compile, and each logs in, bids, sends the bid again, reads it
// at its position, turns the page, finds it among its own, and cancels it. So do the examples, under faults.
func TestGeneratedClientsBid(t *testing.T) {
	t.Parallel()
	document, err := filepath.Abs("../openapi/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w, modules := &workshop{t.TempDir(), t}, npmInstall(t, "generators")
	var making sync.WaitGroup
	defer making.Wait()
	making.Go(func() { tryFailingExamples(t, modules) })
	making.Go(func() { w.makeGo(document) })
	making.Go(func() { w.makeTypeScript(document, modules) })
	s := startStack(t)
	url := s.frontDoor(t)
	making.Wait()
	if t.Failed() {
		return
	}
	for _, flow := range [][]string{
		{"go/oapi.bin", url}, {"go/ogen.bin", url},
		{"node_modules/.bin/tsx", "fetch.ts", url}, {"node_modules/.bin/tsx", "hey.ts", url},
	} {
		w.run(".", filepath.Join(w.dir, flow[0]), flow[1:]...)
	}
	s.tryBiddingExamples(t, url, modules)
}

// makeGo lets oapi-codegen and ogen make clients, and builds a program of each.
func (w *workshop) makeGo(document string) {
	w.copy("go")
	w.copy("go/oapi")
	w.copy("go/ogen")
	if err := os.Mkdir(filepath.Join(w.dir, "go/oapi/api"), 0o755); err != nil {
		w.t.Error(err)
	}
	var tools sync.WaitGroup
	tools.Go(func() {
		w.run("go", "go", "tool", "oapi-codegen", "-config", "oapi.yaml", "-o", "oapi/api/api.go", document)
		w.run("go", "go", "build", "-trimpath", "-o", "oapi.bin", "./oapi")
	})
	tools.Go(func() {
		w.run("go", "go", "tool", "ogen", "--config", "ogen.yaml", "--package", "api", "--target", "ogen/api", document)
		w.run("go", "go", "build", "-trimpath", "-o", "ogen.bin", "./ogen")
	})
	tools.Wait()
}

// makeTypeScript lets openapi-typescript and @hey-api/openapi-ts make clients, and holds the programs and the example
// against their types.
func (w *workshop) makeTypeScript(document, modules string) {
	w.copy(".")
	example, err := filepath.Abs("../../examples/typescript")
	if err == nil {
		err = os.Symlink(example, filepath.Join(w.dir, "example"))
	}
	if err == nil {
		err = os.Symlink(modules, filepath.Join(w.dir, "node_modules"))
	}
	if err != nil {
		w.t.Error(err)
		return
	}
	w.run(".", "node_modules/.bin/openapi-typescript", document, "-o", "fetch/schema.d.ts")
	w.run(".", "node_modules/.bin/openapi-ts", "-i", document, "-o", "hey", "-c", "@hey-api/client-fetch", "--silent", "--no-log-file")
	w.run(".", "node_modules/.bin/tsc", "--noEmit", "-p", ".")
}

// copy copies the files of a folder of generators.
func (w *workshop) copy(folder string) {
	entries, err := os.ReadDir(filepath.Join("generators", folder))
	if err == nil {
		err = os.MkdirAll(filepath.Join(w.dir, folder), 0o755)
	}
	for _, e := range entries {
		if e.IsDir() || err != nil {
			continue
		}
		var text []byte
		if text, err = os.ReadFile(filepath.Join("generators", folder, e.Name())); err == nil {
			err = os.WriteFile(filepath.Join(w.dir, folder, e.Name()), text, 0o644)
		}
	}
	if err != nil {
		w.t.Error(err)
	}
}

// run runs a program in a folder. The test fails if the program does.
func (w *workshop) run(folder, program string, args ...string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), generatorTime)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = filepath.Join(w.dir, folder)
	c.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "NO_COLOR=1")
	start := time.Now()
	out, err := testenv.Run(c)
	if err != nil {
		w.t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	w.t.Logf("%s %s: %v", filepath.Base(program), strings.Join(args, " "), time.Since(start).Round(time.Millisecond))
}
