package drill

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// meters are the latencies of all drills, for the report.
type meters struct{ bids, reads *meter }

func newMeters(start time.Time) *meters {
	return &meters{newMeter("POST bid", start), newMeter("GET bids", start)}
}

// meter keeps the latencies of one kind of request, over all and by second. It is safe for concurrent use.
type meter struct {
	start time.Time

	mu     sync.Mutex
	step   report.Step
	total  *hdrhistogram.Histogram
	second *hdrhistogram.Histogram // of the last of step.Seconds
}

// Significant digits of the histograms.
const (
	totalDigits  = 3
	secondDigits = 2
)

func newMeter(name string, start time.Time) *meter {
	return &meter{start: start, step: report.Step{Name: name}, total: report.NewHDR(totalDigits), second: report.NewHDR(secondDigits)}
}

// record enters a request that was sent at a time and has ended now.
func (m *meter) record(sent time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := int(time.Since(m.start).Seconds())
	if n := len(m.step.Seconds); n == 0 || m.step.Seconds[n-1].At < at {
		m.closeSecond()
		m.step.Seconds = append(m.step.Seconds, report.Second{At: at})
	}
	now := &m.step.Seconds[len(m.step.Seconds)-1]
	if !ok {
		m.step.Failed++
		now.Failed++
		return
	}
	m.step.OK++
	now.OK++
	took := min(max(time.Since(sent).Microseconds(), report.Lowest), report.Highest)
	for _, h := range []*hdrhistogram.Histogram{m.total, m.second} {
		if err := h.RecordValue(took); err != nil {
			panic("drill: a value within the range was refused: " + err.Error())
		}
	}
}

func (m *meter) closeSecond() {
	if n := len(m.step.Seconds); n > 0 {
		m.step.Seconds[n-1].Total = report.FromHDR(m.second)
		m.second.Reset()
	}
}

// result ends the measurement.
func (m *meter) result() report.Step {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closeSecond()
	m.step.Total = report.FromHDR(m.total)
	m.step.Service = m.step.Total
	return m.step
}
