package airgap

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trial is a way out, or something that must go on.
type trial struct {
	name  string
	works bool // must work behind the fence
	// outside: it would reach beyond this machine, so it is tried only behind a
	// fence that has refused the same on the loopback.
	outside bool
	try     func(*subject) error // nil: it worked
}

// subject is the process that tries, in one of its two states.
type subject struct {
	observed
	listener net.Listener                   // gets connections of the observer
	spare    net.Listener                   // listens, and may be ruined
	accepted net.Conn                       // was accepted, and may be ruined
	tcp, udp int                            // sockets that nothing was done with yet, made before the fence
	fast     int                            // another of TCP
	line     *Line                          // to this process itself
	lines    net.Listener                   // the Line's other end
	nested   func(address string) *exec.Cmd // prints what Nested says
}

// observed are addresses where the observer sees what arrives.
type observed struct {
	TCP4 string `json:"tcp4"`
	TCP6 string `json:"tcp6"` // empty where the machine has no IPv6
	UDP  string `json:"udp"`
	Unix string `json:"unix"`
}

// patience bounds what must work.
const patience = 5 * time.Second

var trials = []trial{
	{name: "TCP, IPv4", try: func(s *subject) error { return dial("tcp", s.TCP4) }},
	{name: "TCP, IPv6", try: func(s *subject) error { return dial("tcp", s.TCP6) }},
	{name: "TCP to TEST-NET (192.0.2.1)", outside: true, try: func(*subject) error { return dial("tcp", "192.0.2.1:443") }},
	{name: "TCP to 2001:db8::1", outside: true, try: func(*subject) error { return dial("tcp", "[2001:db8::1]:443") }},
	{name: "UDP", try: func(s *subject) error { return send("udp", s.UDP) }},
	{name: "UDP to TEST-NET (192.0.2.1)", outside: true, try: func(*subject) error { return send("udp", "192.0.2.1:53") }},
	{name: "DNS", outside: true, try: lookUp},
	{name: "ICMP", try: open(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)},
	{name: "raw IP", try: open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)},
	{name: "SCTP", try: open(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP)},
	{name: "packets", try: open(unix.AF_PACKET, unix.SOCK_RAW, 0)},
	{name: "netlink", try: open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)},
	{name: "vsock", try: open(unix.AF_VSOCK, unix.SOCK_STREAM, 0)},
	{name: "Bluetooth", try: open(unix.AF_BLUETOOTH, unix.SOCK_STREAM, 3)},
	{name: "Unix datagrams", try: open(unix.AF_UNIX, unix.SOCK_DGRAM, 0)},
	{name: "Unix socket, by path", try: func(s *subject) error { return dial("unix", s.Unix) }},
	{name: "TCP socket from before", try: func(s *subject) error { return connect(s.tcp, s.TCP4) }},
	{name: "another, by Fast Open", try: func(s *subject) error { return fastOpen(s.fast, s.TCP4) }},
	{name: "UDP socket from before", try: func(s *subject) error { return sendTo(s.udp, s.UDP) }},
	{name: "accepted socket, turned round", try: func(s *subject) error { return turnRound(s.accepted, s.TCP4) }},
	{name: "listening socket, turned round", try: func(s *subject) error { return turnRound(s.spare, s.TCP4) }},
	{name: "io_uring", try: ring},
	{name: "ptrace", try: trace},
	{name: "a socket of another process", try: steal},
	{name: "memory of another process", try: writeInto},
	{name: "calls of x32", try: func(*subject) error {
		return fails(unix.RawSyscall(x32|unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0))
	}},
	{name: "typing into the terminal", try: typeInto},
	{name: "a program that it starts", try: nest},
	{name: "accept a TCP connection", works: true, try: accept},
	{name: "connection between processes", works: true, try: pass},
}

// fails is the errno of a raw system call; a descriptor that it gave is closed.
func fails(r, _ uintptr, errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return unix.Close(int(r))
}

func dial(network, address string) error {
	if address == "" {
		return errors.New("this machine has no such network")
	}
	c, err := net.DialTimeout(network, address, 2*time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

func send(network, address string) error {
	c, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("x"))
	return errors.Join(err, c.Close())
}

func lookUp(*subject) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	asked := errors.New("no server was asked")
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		asked = err
		return c, err
	}}
	_, _ = r.LookupHost(ctx, "cloister-airgap.invalid")
	return asked
}

// open tries to make a socket; one that cannot be made sends nothing.
func open(family, kind, protocol int) func(*subject) error {
	return func(*subject) error {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

// sockaddr is an IPv4 address of this machine, as the kernel reads it.
func sockaddr(address string) (*unix.SockaddrInet4, error) {
	a, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	return &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}, nil
}

// connect connects a socket, which may be one that does not wait.
func connect(fd int, address string) error {
	to, err := sockaddr(address)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, to); !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	return nil
}

func fastOpen(fd int, address string) error {
	to, err := sockaddr(address)
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(fd, []byte("x"), nil, to, unix.MSG_FASTOPEN); !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	return nil
}

func sendTo(fd int, address string) error {
	to, err := sockaddr(address)
	if err != nil {
		return err
	}
	return unix.Sendto(fd, []byte("x"), 0, to)
}

// turnRound makes a client of a socket of a server: connecting it to no address
// dissolves it, and then it can be connected to any.
func turnRound(socket any, address string) (err error) {
	c, ok := socket.(syscall.Conn)
	if !ok {
		return errors.New("there is no such socket")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	controlled := raw.Control(func(fd uintptr) {
		none := unix.RawSockaddr{Family: unix.AF_UNSPEC}
		_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none))
		if errno != 0 {
			err = errno
			return
		}
		err = connect(int(fd), address)
	})
	return errors.Join(err, controlled)
}

func ring(*subject) error {
	var params [120]byte // struct io_uring_params
	return fails(unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0))
}

// admitted is nil when the kernel looked at a call: it says of a process, or a
// descriptor, that is not there what it says then. So nothing real is touched.
func admitted(errno, says syscall.Errno) error {
	if errno == 0 || errno == says {
		return nil
	}
	return errno
}

// noProcess is above the largest process id that Linux gives (2^22).
const noProcess = 1 << 30

func trace(*subject) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_ATTACH, noProcess, 0, 0, 0, 0)
	return admitted(errno, unix.ESRCH)
}

func steal(*subject) error {
	const none = ^uintptr(0)
	_, _, errno := unix.RawSyscall(unix.SYS_PIDFD_GETFD, none, 0, 0)
	return admitted(errno, unix.EBADF)
}

func writeInto(*subject) error {
	var b byte
	piece := unix.Iovec{Base: &b, Len: 1}
	at := uintptr(unsafe.Pointer(&piece))
	_, _, errno := unix.RawSyscall6(unix.SYS_PROCESS_VM_WRITEV, noProcess, at, 1, at, 1, 0)
	return admitted(errno, unix.ESRCH)
}

// typeInto asks a file that is no terminal.
func typeInto(*subject) error {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer f.Close()
	var c byte = '\n'
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, f.Fd(), unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
	return admitted(errno, unix.ENOTTY)
}

func accept(s *subject) error {
	if err := s.listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	c, err := s.listener.Accept()
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("x"))
	return errors.Join(err, c.Close())
}

// pass sends one end of a connection over a Line and a byte through it.
func pass(s *subject) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := s.line.Dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	other, err := s.lines.Accept()
	if err != nil {
		return err
	}
	defer other.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err = other.Read(make([]byte, 1))
	return err
}

// nest tries in a program that this one starts.
func nest(s *subject) error {
	out, err := s.nested(s.TCP4).Output()
	if err == nil && string(out) != nestedWorked {
		err = errors.New(string(out))
	}
	return err
}

const nestedWorked = "went through"

// Nested tries to connect to an address, and returns in words what became of
// it: the part of Prove in a program that the fenced one starts.
func Nested(address string) string {
	if err := dial("tcp", address); err != nil {
		return cause(err)
	}
	return nestedWorked
}

// cause is the innermost error, without the addresses around it.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
