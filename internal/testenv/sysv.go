package testenv

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// System V objects outlive the processes that made them. PostgreSQL and pgpool-II remove their objects when
// they end. After kill -9 the functions below remove them. Numbers from linux/ipc.h and linux/sem.h.
const (
	ipcRemove = 0
	semGetPID = 11
)

// removeSharedMemory removes the unused segments that one of the processes made: columns 2 (id), 5 (maker)
// and 7 (number of users) of /proc/sysvipc/shm, see sysvipc(7).
func removeSharedMemory(makers []int) error {
	rows, err := sysvTable("/proc/sysvipc/shm", 7)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row[6] != 0 || !slices.Contains(makers, row[4]) {
			continue
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_SHMCTL, uintptr(row[1]), ipcRemove, 0); errno != 0 {
			return fmt.Errorf("remove shared memory %d: %w", row[1], errno)
		}
	}
	return nil
}

// removeSemaphores removes the sets that one of the processes used last; who made a set is not
// recorded. Columns 2 and 4 of /proc/sysvipc/sem are the id and the number of semaphores.
func removeSemaphores(users []int) error {
	rows, err := sysvTable("/proc/sysvipc/sem", 4)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if !usedBy(row[1], row[3], users) {
			continue
		}
		if _, _, errno := syscall.Syscall6(syscall.SYS_SEMCTL, uintptr(row[1]), 0, ipcRemove, 0, 0, 0); errno != 0 {
			return fmt.Errorf("remove semaphores %d: %w", row[1], errno)
		}
	}
	return nil
}

// usedBy is false for sets that may not be read or are gone, because these are not ours.
func usedBy(set, size int, pids []int) bool {
	for i := range size {
		pid, _, errno := syscall.Syscall6(syscall.SYS_SEMCTL, uintptr(set), uintptr(i), semGetPID, 0, 0, 0)
		if errno == 0 && slices.Contains(pids, int(pid)) {
			return true
		}
	}
	return false
}

// sysvTable reads the first columns of a table below its heading.
func sysvTable(path string, columns int) (rows [][]int, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, body, _ := strings.Cut(string(b), "\n")
	for line := range strings.Lines(body) {
		fields := strings.Fields(line)
		if len(fields) < columns {
			return nil, fmt.Errorf("%s: unexpected line %q", path, line)
		}
		row := make([]int, columns)
		for i := range row {
			if row[i], err = strconv.Atoi(fields[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}
