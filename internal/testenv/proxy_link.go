package testenv

import (
	"bytes"
	"net"
	"sync"
	"time"
)

type chunk struct {
	data []byte
	due  time.Time
}

// under way at most, in each direction; enough that a delay does not limit the rate
const chunksUnderWay = 256

// forward copies one direction until it ends or the link is cut, and then cuts the link.
func (p *Proxy) forward(k *link, from, to net.Conn, when func([]byte) (time.Time, error)) {
	defer k.cut()
	chunks := make(chan chunk, chunksUnderWay)
	var writer sync.WaitGroup
	writer.Go(func() { p.write(k, to, chunks) })
	defer writer.Wait()
	defer close(chunks)
	buffer := make([]byte, 16<<10)
	for {
		n, readErr := from.Read(buffer)
		if !p.pass(k) {
			return
		}
		if n > 0 {
			due, err := when(buffer[:n])
			if err != nil {
				k.cut()
				return
			}
			select {
			case chunks <- chunk{bytes.Clone(buffer[:n]), due}:
			case <-k.gone:
				return
			}
		}
		if readErr != nil {
			return
		}
	}
}

func (p *Proxy) write(k *link, to net.Conn, chunks <-chan chunk) {
	defer k.cut()
	for c := range chunks {
		if wait := time.Until(c.due); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-k.gone:
				timer.Stop()
				return
			}
		}
		if !p.pass(k) {
			return
		}
		if _, err := to.Write(c.data); err != nil {
			return
		}
	}
}
