package testenv

import (
	"bytes"
	"os/exec"
)

// Start starts a command, which sets no SysProcAttr. If the test process dies before the command has ended, the kernel
// kills it.
func Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes(nil)
	return startOnForkThread(cmd)
}

// Run runs a command, which sets no SysProcAttr, to its end and returns what it has written to its standard output and
// error. If the test process dies meanwhile, the kernel kills the command.
func Run(cmd *exec.Cmd) ([]byte, error) {
	cmd.SysProcAttr = attributes(nil)
	return run(cmd)
}

func run(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := startOnForkThread(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	return out.Bytes(), err
}
