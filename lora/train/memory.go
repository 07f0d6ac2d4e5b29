package train

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// availableMemory is what this process may still take, in bytes: what the
// system has left, or the control group if that is less. 0: unknown.
func availableMemory() int64 {
	free := procField("/proc/meminfo", "MemAvailable:")
	limit := fileNumber("/sys/fs/cgroup/memory.max")
	if limit == 0 {
		return free
	}
	return min(free, max(0, limit-fileNumber("/sys/fs/cgroup/memory.current")))
}

// peakMemory is the highest resident memory of this process so far, in bytes.
func peakMemory() int64 { return procField("/proc/self/status", "VmHWM:") }

// procField reads a line such as "VmHWM:  1234 kB".
func procField(path, name string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			var kib int64
			_, _ = fmt.Sscan(rest, &kib)
			return kib << 10
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
