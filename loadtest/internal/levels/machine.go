package levels

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/cluster"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// If the generator uses more than these shares, of the processors that it may use and of the machine, it may
// limit the load.
const (
	nearlyAll = 0.8
	tooMuch   = 0.5
)

// Describe says on which machine a run was made and how much of it the generator used.
func Describe(run *report.Run) {
	run.Cores = runtime.NumCPU()
	run.CPU = append(run.CPU, report.ProcessCPU{Name: report.GeneratorProcess, CPU: run.Generator.CPU})
	run.Generator.Warning = generatorWarning(run.Generator.CPU, run.Elapsed, runtime.GOMAXPROCS(0), run.Cores)
	run.Commit = cluster.Commit()
	run.Environment = append(run.Environment,
		report.Field{Name: "processor", Value: firstValue("/proc/cpuinfo", "model name")},
		report.Field{Name: "cores", Value: fmt.Sprint(run.Cores)},
		report.Field{Name: "cores that the generator may use", Value: fmt.Sprint(runtime.GOMAXPROCS(0))},
		report.Field{Name: "memory", Value: firstValue("/proc/meminfo", "MemTotal")},
		report.Field{Name: "kernel", Value: kernel()},
		report.Field{Name: "Go", Value: runtime.Version()},
		report.Field{Name: "generator's memory, highest", Value: fmt.Sprintf("%d MB", highestRSS()>>20)})
}

// serviceBuilds names the builds of the services that run on this machine. A program whose file can't be read is left out.
func serviceBuilds(processes map[string]int) (fields []report.Field) {
	for _, name := range slices.Sorted(maps.Keys(processes)) {
		service, _, _ := strings.Cut(name, "-")
		if service != "command" && service != "query" && service != "replicator" {
			continue
		}
		if build, err := cluster.Build(fmt.Sprintf("/proc/%d/exe", processes[name])); err == nil {
			fields = append(fields, report.Field{Name: name, Value: build})
		}
	}
	return fields
}

// AddCPU adds the builds of the system's processes, by name, and the processor time that they have used since before. A
// process that was started again meanwhile is left out.
func AddCPU(run *report.Run, processes map[string]int, before map[string]time.Duration) {
	now, err := engine.TreesCPU(processes)
	if err != nil {
		run.Verdict.Failed = append(run.Verdict.Failed, err.Error())
	}
	run.Services = serviceBuilds(processes)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if used := now[name] - before[name]; used >= 0 {
			run.CPU = append(run.CPU, report.ProcessCPU{Name: name, CPU: used})
		}
	}
}

// generatorWarning judges the generator by its share of the processors that it may use and by its share of the
// machine.
func generatorWarning(used, elapsed time.Duration, procs, cores int) string {
	allowed := float64(used) / (float64(elapsed) * float64(procs))
	share := float64(used) / (float64(elapsed) * float64(cores))
	if elapsed <= 0 || allowed < nearlyAll && share < tooMuch {
		return ""
	}
	return fmt.Sprintf("the generator used %.0f %% of the processors that it may use and %.0f %% of the machine: it may have limited the load; "+
		"give it more (--procs), or take fewer users or more machines", 100*allowed, 100*share)
}

// firstValue returns the value of the first "name : value" line; "" if there is none.
func firstValue(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kernel() string {
	raw, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return "Linux " + strings.TrimSpace(string(raw))
}

// highestRSS is the largest resident memory of this process so far, in bytes.
func highestRSS() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("levels: getrusage: " + err.Error()) // can't fail for RUSAGE_SELF
	}
	return u.Maxrss << 10
}
