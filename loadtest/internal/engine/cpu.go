package engine

import (
	"fmt"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// SelfCPU is the processor time, user and system, that this process has used.
func SelfCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("engine: getrusage: " + err.Error()) // can't fail for RUSAGE_SELF
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ticks is USER_HZ, the unit of the times in /proc/PID/stat: 100 on every Linux platform that Go knows.
const ticks = 100

// TreesCPU is the processor time of processes, by name, and all their descendants that are alive, plus the time of the
// children that they have waited for (proc(5): fields 14 to 17 of /proc/PID/stat). Processes that don't exist are left out.
func TreesCPU(pids map[string]int) (map[string]time.Duration, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("processor time: %w", err)
	}
	stats := make(map[int]procfs.ProcStat)
	for _, p := range all {
		if s, err := p.Stat(); err == nil { // otherwise it ended between the two looks
			stats[p.PID] = s
		}
	}
	used := make(map[string]time.Duration)
	for name, pid := range pids {
		if root, ok := stats[pid]; ok {
			used[name] = cpu(root) + descendants(stats, pid)
		}
	}
	return used, nil
}

func descendants(stats map[int]procfs.ProcStat, pid int) (total time.Duration) {
	for _, s := range stats {
		for p, hops := s.PPID, 0; p > 1 && hops < 64; p, hops = stats[p].PPID, hops+1 {
			if p == pid {
				total += cpu(s)
				break
			}
		}
	}
	return total
}

func cpu(s procfs.ProcStat) time.Duration {
	sum := int64(s.UTime) + int64(s.STime) + int64(s.CUTime) + int64(s.CSTime)
	return time.Duration(sum) * time.Second / ticks
}

// machine compares the processor time of this machine with that of the look before.
type machine struct{ busy, all float64 }

// since is the part of the machine's processor time that was used since the last call, from 0 to 1; nil if it is not
// known, as at the first call.
func (m *machine) since() *float64 {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	s, err := fs.Stat()
	if err != nil {
		return nil
	}
	t, before := s.CPUTotal, *m
	m.busy = t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ
	m.all = m.busy + t.Idle + t.Iowait + t.Steal
	if before.all == 0 || m.all <= before.all {
		return nil
	}
	share := (m.busy - before.busy) / (m.all - before.all)
	return &share
}
