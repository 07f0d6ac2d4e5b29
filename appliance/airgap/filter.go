package airgap

import (
	"runtime"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// rule refuses a system call with EPERM, always or depending on its arguments.
type rule struct {
	number uintptr
	only   []bpf.Instruction // decides, by refuse or allow; nil: always refused
}

// Offsets in struct seccomp_data (seccomp(2)).
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16 // six of 8 bytes, the low half first
)

// x32 is the bit of the numbers of x32's system calls (asm/unistd.h).
const x32 = 0x40000000

var (
	allow  = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	refuse = bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
)

// architectures are the system call tables that the numbers of package unix
// belong to.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// low loads the low half of an argument: all of one that the kernel takes as an int.
func low(arg int) bpf.Instruction {
	return bpf.LoadAbsolute{Off: uint32(offArgs + 8*arg), Size: 4}
}

func high(arg int) bpf.Instruction {
	return bpf.LoadAbsolute{Off: uint32(offArgs + 8*arg + 4), Size: 4}
}

// onlyUnix lets socket and socketpair make Unix sockets that stay with one
// partner. (A datagram socket may send to any other Unix socket, such as that
// of the system's log, which may pass it on.)
func onlyUnix() []bpf.Instruction {
	return []bpf.Instruction{
		low(0),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.AF_UNIX, SkipTrue: 4},
		low(1),
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf}, // the rest are flags
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SOCK_STREAM, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SOCK_SEQPACKET, SkipTrue: 1},
		refuse,
		allow,
	}
}

// noFastOpen refuses the flag by which sending connects a TCP socket.
func noFastOpen(flags int) []bpf.Instruction {
	return []bpf.Instruction{low(flags), bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: unix.MSG_FASTOPEN, SkipTrue: 1}, refuse, allow}
}

// noAddress refuses sending to an address, and noFastOpen.
func noAddress(flags, address int) []bpf.Instruction {
	return append([]bpf.Instruction{
		low(address), bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1}, refuse,
		high(address), bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1}, refuse,
	}, noFastOpen(flags)...)
}

// noTyping refuses the requests that put characters into a terminal's input,
// where the user's shell would take them for commands.
func noTyping() []bpf.Instruction {
	return []bpf.Instruction{
		low(1),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.TIOCSTI, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.TIOCLINUX, SkipTrue: 1},
		refuse,
		allow,
	}
}

func unixOnly() []rule {
	return []rule{
		{unix.SYS_SOCKET, onlyUnix()},
		{unix.SYS_SOCKETPAIR, onlyUnix()},
		{unix.SYS_SENDTO, noFastOpen(3)},
		{unix.SYS_SENDMSG, noFastOpen(2)},
		{unix.SYS_SENDMMSG, noFastOpen(3)},
		// Operations of a ring, sockets and connections among them, pass no filter.
		{unix.SYS_IO_URING_SETUP, nil},
		{unix.SYS_IO_URING_ENTER, nil},
		{unix.SYS_IO_URING_REGISTER, nil},
		// A process of the same user that has the network could be made to use it.
		{unix.SYS_PTRACE, nil},
		{unix.SYS_PROCESS_VM_WRITEV, nil},
		{unix.SYS_PIDFD_GETFD, nil},
		{unix.SYS_IOCTL, noTyping()},
		{unix.SYS_BPF, nil},
	}
}

func sealed() []rule {
	rules := []rule{{unix.SYS_CONNECT, nil}}
	for _, r := range unixOnly() {
		if r.number == unix.SYS_SENDTO {
			r.only = noAddress(3, 4)
		}
		rules = append(rules, r)
	}
	return rules
}

// compile makes a program of rules. Calls of other tables than the native one
// are refused: their numbers mean something else.
func compile(rules []rule) ([]bpf.Instruction, error) {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return nil, ErrUnsupported
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		refuse,
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1},
		refuse,
	}
	for _, r := range rules {
		body := r.only
		if body == nil {
			body = []bpf.Instruction{refuse}
		}
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(r.number), SkipTrue: uint8(len(body))})
		program = append(program, body...)
	}
	return append(program, allow), nil
}
