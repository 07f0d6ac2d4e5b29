package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "check this machine and the data directory",
		UsageText: "cloister doctor [--airgap]",
		Description: `Looks at what Cloister needs to run: the processor's instructions, memory, disk
space, and who may read the data directory; and at NVIDIA's cards, for a file that
was built for them. A line that says "fail" must be put right first, and says how;
the exit status is then 1.

With --airgap it starts a process that gives up the network as the appliance
does, tries every way out in it (TCP, UDP, DNS, raw sockets, io_uring, sockets
turned round, other processes …) and listens from outside for what arrives. The
exit status is 1 when anything got out. What would leave this machine is tried
only when the fence has refused the same on the loopback.

Examples:
  cloister doctor
  cloister doctor --home /srv/cloister --json
  cloister doctor --airgap`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "airgap", Usage: "prove that nothing gets out of a process of the appliance"},
		},
		Action: doctor,
	}
}

// finding is one thing that doctor looked at.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // "ok", "warn" or "fail"
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

// Bounds below which doctor warns or fails, in bytes.
const (
	littleMemory = 2e9
	littleDisk   = 2e9
	noDisk       = 200e6
)

func doctor(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	if c.Bool("airgap") {
		return proveAirgap(c)
	}
	home, err := homeDir(c)
	if err != nil {
		return err
	}
	appliance, status := running(c.Context, home)
	fence := fenceFinding(status) // the cards are looked at from behind it, as a worker sees them
	found := append([]finding{processor(), memory()}, cuda()...)
	found = append(found, permissions(home), disk(home), fence, appliance)
	failed := false
	for _, f := range found {
		failed = failed || f.Status == "fail"
	}
	if c.Bool("json") {
		err = printJSON(c, found)
	} else {
		for _, f := range found {
			fmt.Fprintf(c.App.Writer, "%-5s %-10s %s\n", f.Status, f.Check, f.Detail)
			if f.Advice != "" {
				fmt.Fprintf(c.App.Writer, "%-16s → %s\n", "", f.Advice)
			}
		}
	}
	if err == nil && failed {
		err = errSaid
	}
	return err
}

func processor() finding {
	f := finding{Check: "processor", Status: "ok"}
	have := []string{}
	for _, e := range []struct {
		name string
		has  bool
	}{{"AVX2", cpu.X86.HasAVX2}, {"FMA", cpu.X86.HasFMA}, {"AVX-512", cpu.X86.HasAVX512F}, {"AVX-512-BF16", cpu.X86.HasAVX512BF16}, {"AMX", cpu.X86.HasAMXTile}} {
		if e.has {
			have = append(have, e.name)
		}
	}
	f.Detail = fmt.Sprintf("%d cores, %s", runtime.NumCPU(), strings.Join(have, " "))
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		f.Status, f.Advice = "fail", "an x86-64 processor with AVX2 and FMA is needed (Intel since 2013, AMD since 2015); in a virtual machine, choose the host's processor type"
	}
	return f
}

func memory() finding {
	f := finding{Check: "memory", Status: "ok"}
	total, free, err := memInfo()
	if err != nil {
		f.Status, f.Detail = "warn", "could not be read: "+err.Error()
		return f
	}
	f.Detail = fmt.Sprintf("%s, of which %s are free", byteSize(total), byteSize(free))
	if free < littleMemory {
		f.Status, f.Advice = "warn", "a model needs about the size of its file to answer, and some times that to train; end other programs, or choose a smaller model"
	}
	return f
}

// memInfo reads /proc/meminfo; values are bytes.
func memInfo() (total, available int64, err error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "MemTotal":
			total = kib << 10
		case "MemAvailable":
			available = kib << 10
		}
	}
	if total == 0 {
		return 0, 0, errors.New("/proc/meminfo has no MemTotal")
	}
	return total, available, nil
}

func permissions(home string) finding {
	f := finding{Check: "home", Status: "ok", Detail: home}
	info, err := os.Stat(home)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Detail += " (not there yet; the first command makes it)"
		if parent := existing(home); unix.Access(parent, unix.W_OK) != nil {
			f.Status, f.Advice = "fail", fmt.Sprintf("%s cannot be written to: choose another place with --home DIR", parent)
		}
	case err != nil:
		f.Status, f.Detail = "fail", err.Error()
	case !info.IsDir():
		f.Status, f.Detail, f.Advice = "fail", home+" is not a directory", "choose another place with --home DIR"
	case unix.Access(home, unix.R_OK|unix.W_OK|unix.X_OK) != nil:
		f.Status, f.Advice = "fail", "this user cannot read and write it: run as its owner"
	case info.Mode().Perm()&0o077 != 0:
		f.Status, f.Detail = "fail", fmt.Sprintf("%s may be read by other users (%v)", home, info.Mode().Perm())
		f.Advice = "chmod 700 " + home
	}
	return f
}

// existing is the nearest directory above a path that exists.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

func disk(home string) finding {
	f := finding{Check: "disk", Status: "ok"}
	var s unix.Statfs_t
	if err := unix.Statfs(existing(home), &s); err != nil {
		f.Status, f.Detail = "warn", "could not be read: "+err.Error()
		return f
	}
	free := int64(s.Bavail) * s.Bsize
	f.Detail = byteSize(free) + " free"
	switch {
	case free < noDisk:
		f.Status, f.Advice = "fail", "free some space, or choose another disk with --home DIR"
	case free < littleDisk:
		f.Status, f.Advice = "warn", "models, checkpoints and uploaded files may not fit"
	}
	return f
}
