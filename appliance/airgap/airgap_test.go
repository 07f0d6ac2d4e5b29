package airgap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The test binary is the fenced process as well.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch fence := map[string]func() error{"seal": Seal, "unix": UnixOnly, "none": func() error { return nil }}[os.Args[1]]; {
		case fence != nil:
			if err := Try(os.Stdin, os.Stdout, func(address string) *exec.Cmd { return exec.Command(os.Args[0], "nested", address) }, fence); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case os.Args[1] == "nested":
			fmt.Print(Nested(os.Args[2]))
			os.Exit(0)
		case os.Args[1] == "inherited":
			fmt.Print(inherited())
			os.Exit(0)
		case os.Args[1] == "sleep":
			if err := Seal(); err != nil {
				fmt.Println(err)
			}
			fmt.Println("sealed")
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func prove(t *testing.T, fence string) (Proof, map[string]Trial) {
	t.Helper()
	p, err := Prove(t.Context(), exec.Command(os.Args[0], fence))
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]Trial{}
	for _, trial := range p.Trials {
		by[trial.Name] = trial
	}
	if len(by) != len(trials) {
		t.Fatalf("%d of %d trials", len(by), len(trials))
	}
	return p, by
}

// Behind the fence of the appliance and its workers nothing gets out, and what
// they live from goes on.
func TestSeal(t *testing.T) {
	p, by := prove(t, "seal")
	for _, trial := range p.Trials {
		if !trial.OK {
			t.Errorf("%s: before %q, now %q", trial.Name, trial.Before, trial.Now)
		}
		// Nothing else than the fence may be what refuses.
		if !trial.Works && trial.Now != unix.EPERM.Error() && !strings.Contains(trial.Now, "no such network") {
			t.Errorf("%s: %s", trial.Name, trial.Now)
		}
	}
	if p.Arrived != 0 || !p.OK() {
		t.Errorf("%d things came through the fence", p.Arrived)
	}
	// The trials are real: without the fence they do get out.
	for _, name := range []string{"TCP, IPv4", "UDP", "Unix socket, by path", "TCP socket from before", "accepted socket, turned round",
		"listening socket, turned round", "ptrace", "memory of another process", "a program that it starts"} {
		if by[name].Before != wentThrough {
			t.Errorf("%s before the fence: %s", name, by[name].Before)
		}
	}
}

// Without a fence the same proof fails, what would leave the machine is not
// tried, and the observer sees what came.
func TestNoFence(t *testing.T) {
	p, by := prove(t, "none")
	if p.OK() || p.Arrived < 5 {
		t.Errorf("a process without a fence passes: %d things arrived", p.Arrived)
	}
	if by["TCP, IPv4"].OK || by["TCP to TEST-NET (192.0.2.1)"].Now != notTried || by["DNS"].Now != notTried {
		t.Errorf("%+v %+v %+v", by["TCP, IPv4"], by["TCP to TEST-NET (192.0.2.1)"], by["DNS"])
	}
}

// A command still reaches the appliance's socket, and no network. (A TCP socket
// that is open already could be turned round: this fence is for processes that
// have none.)
func TestUnixOnly(t *testing.T) {
	_, by := prove(t, "unix")
	for name, trial := range by {
		switch name {
		case "Unix socket, by path", "accept a TCP connection", "connection between processes":
			if trial.Now != wentThrough {
				t.Errorf("%s: %s", name, trial.Now)
			}
		case "TCP socket from before", "UDP socket from before", "accepted socket, turned round", "listening socket, turned round":
		default:
			if !trial.OK {
				t.Errorf("%s: before %q, now %q", name, trial.Before, trial.Now)
			}
		}
	}
}

// The filters as the kernel runs them, on calls that a Go program cannot make.
func TestFilter(t *testing.T) {
	const i386 = 0x40000003
	for name, c := range map[string]struct {
		rules []rule
		arch  uint32
		nr    uint32
		args  [6]uint64
		want  uint32
	}{
		"socketcall of i386":        {unixOnly(), i386, 102, [6]uint64{}, refuse.Val},
		"read of i386":              {unixOnly(), i386, 3, [6]uint64{}, refuse.Val},
		"read of x32":               {unixOnly(), unix.AUDIT_ARCH_X86_64, x32, [6]uint64{}, refuse.Val},
		"read":                      {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_READ, [6]uint64{}, allow.Val},
		"accept4":                   {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_ACCEPT4, [6]uint64{}, allow.Val},
		"family in the high half":   {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_SOCKET, [6]uint64{1<<32 | unix.AF_INET, 1}, refuse.Val},
		"Unix with a high half":     {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_SOCKET, [6]uint64{1<<32 | unix.AF_UNIX, 1 | unix.SOCK_CLOEXEC}, allow.Val},
		"Unix, raw":                 {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_SOCKET, [6]uint64{unix.AF_UNIX, unix.SOCK_RAW}, refuse.Val},
		"send without an address":   {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_SENDTO, [6]uint64{3, 1, 1, unix.MSG_NOSIGNAL}, allow.Val},
		"an address above 4 GiB":    {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_SENDTO, [6]uint64{3, 1, 1, 0, 1 << 32, 16}, refuse.Val},
		"sendmmsg with fast open":   {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_SENDMMSG, [6]uint64{3, 1, 1, unix.MSG_FASTOPEN | unix.MSG_NOSIGNAL}, refuse.Val},
		"TIOCSTI with a high half":  {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_IOCTL, [6]uint64{0, 1<<32 | unix.TIOCSTI}, refuse.Val},
		"TIOCLINUX":                 {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_IOCTL, [6]uint64{0, unix.TIOCLINUX}, refuse.Val},
		"another request":           {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_IOCTL, [6]uint64{0, unix.TCGETS}, allow.Val},
		"connect of a command":      {unixOnly(), unix.AUDIT_ARCH_X86_64, unix.SYS_CONNECT, [6]uint64{3}, allow.Val},
		"connect of the appliance":  {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_CONNECT, [6]uint64{3}, refuse.Val},
		"registration of a ring":    {unixOnly(), unix.AUDIT_ARCH_X86_64, unix.SYS_IO_URING_REGISTER, [6]uint64{}, refuse.Val},
		"sendmsg of the appliance":  {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_SENDMSG, [6]uint64{3, 1, unix.MSG_NOSIGNAL}, allow.Val},
		"sendmsg with fast open":    {sealed(), unix.AUDIT_ARCH_X86_64, unix.SYS_SENDMSG, [6]uint64{3, 1, unix.MSG_FASTOPEN}, refuse.Val},
		"bpf":                       {unixOnly(), unix.AUDIT_ARCH_X86_64, unix.SYS_BPF, [6]uint64{}, refuse.Val},
		"the largest native number": {sealed(), unix.AUDIT_ARCH_X86_64, x32 - 1, [6]uint64{}, allow.Val},
	} {
		program, err := compile(c.rules)
		if err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(program)
		if err != nil {
			t.Fatal(err)
		}
		got, err := vm.Run(seccompData(c.nr, c.arch, c.args))
		if err != nil || uint32(got) != c.want {
			t.Errorf("%s: %#x, %v; want %#x", name, got, err, c.want)
		}
	}
}

// seccompData is struct seccomp_data with each word turned round, as the
// machine of package bpf reads packets.
func seccompData(nr, arch uint32, args [6]uint64) []byte {
	b := binary.BigEndian.AppendUint32(nil, nr)
	b = binary.BigEndian.AppendUint32(b, arch)
	b = append(b, make([]byte, 8)...)
	for _, a := range args {
		b = binary.BigEndian.AppendUint32(b, uint32(a))
		b = binary.BigEndian.AppendUint32(b, uint32(a>>32))
	}
	return b
}

// Every thread has the filter, also those that were there before it.
func TestFiltered(t *testing.T) {
	cmd := exec.Command(os.Args[0], "sleep")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	if n, err := out.Read(b); err != nil || string(b[:n]) != "sealed\n" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	if ok, err := Filtered(cmd.Process.Pid); !ok || err != nil {
		t.Errorf("the sealed process: %v, %v", ok, err)
	}
	if ok, err := Filtered(os.Getpid()); ok || err != nil {
		t.Errorf("this process: %v, %v", ok, err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if ok, err := Filtered(cmd.Process.Pid); ok || err == nil {
		t.Errorf("a process that has ended: %v, %v", ok, err)
	}
}

// Sockets of the starting program do not stay open: 3 is a TCP listener, 4 a pipe.
func TestCloseInherited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd := exec.Command(os.Args[0], "inherited")
	cmd.ExtraFiles = []*os.File{socket, r}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "open open <nil> closed open" {
		t.Errorf("%s, %v", out, err)
	}
}

func inherited() string {
	open := func(fd int) string {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return "closed"
		}
		return "open"
	}
	before := open(3) + " " + open(4)
	return fmt.Sprint(before, " ", CloseInherited(), " ", open(3), " ", open(4))
}

// A Line carries many connections at the same time, and its end is an end.
func TestLine(t *testing.T) {
	line, theirs, err := NewLine()
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewListener(theirs)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				served <- err
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			c, err := line.Dial(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second)) // it is one that waits in Go's poller
			want := strings.Repeat(fmt.Sprint(i), 1000)
			if _, err := io.WriteString(c, want); err != nil {
				t.Error(err)
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(line.Close(), line.Close()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, io.EOF) {
		t.Errorf("Accept after the end: %v", err)
	}
	if c, err := line.Dial(t.Context()); err == nil {
		c.Close()
		t.Error("a closed line dials")
	}
}

func TestLineWithoutProcess(t *testing.T) {
	line, theirs, err := NewLine()
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	_ = theirs.Close()
	if c, err := line.Dial(t.Context()); err == nil {
		c.Close()
		t.Error("it dials a process that is gone")
	}
	if _, err := NewListener(os.NewFile(1<<20, "descriptor 3")); err == nil || !strings.Contains(err.Error(), "descriptor 3") {
		t.Errorf("a descriptor that is not there: %v", err)
	}
}

func TestInside(t *testing.T) {
	in := NewInside()
	go func() {
		c, err := in.Accept()
		if err == nil {
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	c, err := in.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	_ = in.Close()
	if _, err := in.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after Close: %v", err)
	}
	if _, err := in.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}
