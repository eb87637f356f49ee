// Command build compiles the packages that its arguments name into the folder bin of the working folder, with their commit.
// Because the first time takes minutes, it says every few seconds how far it is.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	if err := build(os.Args[1:], os.Stderr, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func build(packages []string, notes, problems io.Writer) error {
	read, write := io.Pipe()
	// -v names each package once it is compiled.
	compiler := exec.Command("go", append([]string{"build", "-v", "-buildvcs=auto", "-o", "bin/"}, packages...)...)
	compiler.Stdout, compiler.Stderr = notes, write
	said := make(chan error, 1)
	go func() { said <- follow(read, notes, problems, time.Now) }()
	err := compiler.Run()
	return errors.Join(err, write.Close(), <-said)
}

// pause is the time between two notes.
const pause = 5 * time.Second

// follow reads what the compiler says. It counts packages and downloads, and passes everything else on as problems.
func follow(said io.Reader, notes, problems io.Writer, now func() time.Time) error {
	compiled, noted := 0, now()
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		line := lines.Text()
		module, download := strings.CutPrefix(line, "go: downloading ")
		switch {
		case !download && strings.ContainsAny(line, " \t:"):
			fmt.Fprintln(problems, line)
			continue
		case !download:
			compiled++
		}
		if at := now(); at.Sub(noted) >= pause {
			noted = at
			what := "compiled " + line
			if download {
				what = "downloading " + module
			}
			fmt.Fprintf(notes, "          %d packages, %s\n", compiled, what)
		}
	}
	return lines.Err()
}
