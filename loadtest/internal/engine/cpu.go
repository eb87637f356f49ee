package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// TreeCPU is the processor time of a process and all its descendants that are alive, plus the time of the
// children that it has waited for (proc(5): fields 14 to 17 of /proc/PID/stat).
func TreeCPU(pid int) (time.Duration, error) {
	used, err := TreesCPU(map[string]int{"": pid})
	if err != nil {
		return 0, err
	}
	total, ok := used[""]
	if !ok {
		return 0, fmt.Errorf("there is no process %d", pid)
	}
	return total, nil
}

// TreesCPU is TreeCPU for several processes, by name. Processes that don't exist are left out.
func TreesCPU(pids map[string]int) (map[string]time.Duration, error) {
	stats, err := readStats()
	if err != nil {
		return nil, err
	}
	used := make(map[string]time.Duration)
	for name, pid := range pids {
		if root, ok := stats[pid]; ok {
			used[name] = root.cpu + descendants(stats, pid)
		}
	}
	return used, nil
}

func descendants(stats map[int]procStat, pid int) (total time.Duration) {
	for child, s := range stats {
		for p, hops := s.parent, 0; p > 1 && hops < 64; p, hops = stats[p].parent, hops+1 {
			if p == pid {
				total += stats[child].cpu
				break
			}
		}
	}
	return total
}

type procStat struct {
	parent int
	cpu    time.Duration
}

func readStats() (map[int]procStat, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	stats := make(map[int]procStat)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it ended between the two looks
		}
		if s, err := parseStat(string(raw)); err == nil {
			stats[pid] = s
		}
	}
	return stats, nil
}

// parseStat counts fields from the last closing parenthesis, because the command before it may hold spaces and
// parentheses.
func parseStat(line string) (procStat, error) {
	f := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(f) < 15 {
		return procStat{}, fmt.Errorf("%d fields in %q", len(f), line)
	}
	parent, err := strconv.Atoi(f[1])
	if err != nil {
		return procStat{}, err
	}
	var sum int64
	for _, i := range []int{11, 12, 13, 14} { // utime, stime, cutime, cstime
		v, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return procStat{}, err
		}
		sum += v
	}
	return procStat{parent: parent, cpu: time.Duration(sum) * time.Second / ticks}, nil
}
