package train

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// availableMemory is what this process may still take, in bytes: what the
// system has left, or one of its control groups if that is less. Memory that
// only caches files counts as available in both. 0: unknown.
func availableMemory() int64 {
	free := procField("/proc/meminfo", "MemAvailable:")
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return free
	}
	return groupMemory("/sys/fs/cgroup", string(own), free)
}

// groupMemory bounds free by the limits of the control group that own, the
// content of /proc/self/cgroup, names, and of those above it. root is where
// version 2 of the hierarchy is mounted; in a container the group may be its top.
func groupMemory(root, own string, free int64) int64 {
	path := "/"
	for line := range strings.Lines(own) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			path = filepath.Clean("/" + rest)
		}
	}
	for {
		dir := filepath.Join(root, path)
		if limit := fileNumber(filepath.Join(dir, "memory.max")); limit > 0 {
			stat := filepath.Join(dir, "memory.stat")
			used := fileNumber(filepath.Join(dir, "memory.current")) - statField(stat, "inactive_file") - statField(stat, "active_file")
			// 1, not 0, which would say that nothing is known.
			if left := max(1, limit-max(0, used)); free == 0 || left < free {
				free = left
			}
		}
		if path == "/" {
			return free
		}
		path = filepath.Dir(path)
	}
}

// peakMemory is the highest resident memory of this process so far, in bytes.
func peakMemory() int64 { return procField("/proc/self/status", "VmHWM:") }

// procField reads a line such as "VmHWM:  1234 kB", in bytes.
func procField(path, name string) int64 { return field(path, name) << 10 }

// statField reads a line such as "inactive_file 1234".
func statField(path, name string) int64 { return field(path, name+" ") }

// field is the number behind name at the beginning of a line; 0 if there is none.
func field(path, name string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			var n int64
			_, _ = fmt.Sscan(rest, &n)
			return n
		}
	}
	return 0
}

func fileNumber(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // "max" is no number
	if err != nil {
		return 0
	}
	return n
}
