// Package airgap takes the network away from this process, by a seccomp filter
// that the kernel keeps for all its threads and whatever they start, and gives
// Unix sockets to those that then still want to talk to each other.
//
// There are two fences, one inside the other:
//
//   - [UnixOnly] is for a command that asks an appliance: sockets are Unix
//     sockets or are not made.
//   - [Seal] is for the appliance, once it listens, and for its workers: nothing
//     is connected any more, in no family. A filter cannot see which address a
//     connect(2) points to, and a TCP socket that was accepted, or listens, can
//     be dissolved and connected to another place; so connect is refused as a
//     whole, and the processes get their Unix sockets from [Pair].
//
// Accepting connections, and answering them, goes on. Both fences also refuse
// the ways around themselves: io_uring, whose operations no filter sees; the
// 32-bit and x32 calls; TCP Fast Open; reaching into other processes by ptrace
// or their descriptors; typing into the terminal.
//
// What they do not do: they are no sandbox for files, and no fence for root,
// who can do without a socket. A user of its own and the systemd unit of
// package service are for that.
//
// A fence can be put up at any time from any goroutine, more than once, and
// never comes down.
package airgap

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ErrUnsupported says that this kernel, or this processor, has no seccomp filters.
var ErrUnsupported = errors.New("this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER, since Linux 3.17), so the network cannot be given up")

// UnixOnly refuses every socket of this process but Unix ones, from now on.
func UnixOnly() error { return install(unixOnly()) }

// Seal refuses every new connection of this process, from now on.
func Seal() error { return install(sealed()) }

// install gives all threads of the process a filter.
func install(rules []rule) error {
	program, err := compile(rules)
	if err != nil {
		return err
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	// The kernel passes "no new privileges", which an unprivileged filter needs,
	// on to the other threads; so both calls must come from one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("%w (no_new_privs: %w)", ErrUnsupported, err)
	}
	// Without SPEC_ALLOW, kernels before 5.16 slow the whole process down
	// against Spectre. Kernels before 4.17 do not know it.
	err = load(filter, unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW)
	if errors.Is(err, unix.EINVAL) {
		err = load(filter, unix.SECCOMP_FILTER_FLAG_TSYNC)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w (%w)", ErrUnsupported, err)
	}
	return err
}

func load(filter []unix.SockFilter, flags uintptr) error {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	switch {
	case errno != 0:
		return fmt.Errorf("the seccomp filter was not taken: %w", errno)
	case thread != 0:
		return fmt.Errorf("thread %d has another seccomp filter, so the process as a whole has none", thread)
	}
	return nil
}

// Filtered reports whether a process, and all its threads, has a seccomp filter
// and may not gain privileges: what /proc says, for those who look from outside.
func Filtered(pid int) (bool, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false, err
	}
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, task.Name()))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return false, err
		}
		if s := string(b); !strings.Contains(s, "\nSeccomp:\t2\n") || !strings.Contains(s, "\nNoNewPrivs:\t1\n") {
			return false, nil
		}
	}
	return len(tasks) > 0, nil
}
