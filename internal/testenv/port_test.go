package testenv

import (
	"fmt"
	"net"
	"os/exec"
	"sync"
	"testing"
)

// A child that has not executed its program yet has a copy of its parent's sockets. The probed port must be
// free even while children start.
func TestFreePortIsFreeWhileProgramsStart(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := exec.Command("true").Run(); err != nil {
					t.Errorf("true: %v", err)
					return
				}
			}
		})
	}
	for range 300 {
		port := FreePort(t)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Error(err)
			break
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	starts.Wait()
}
