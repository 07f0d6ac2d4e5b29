package airgap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Trial is what became of one way out, or of something that must go on, in a
// process before its fence and behind it.
type Trial struct {
	Name   string `json:"name"`
	Works  bool   `json:"must_work"`
	Before string `json:"before"` // "went through", the reason why not, or "not tried"
	Now    string `json:"now"`
	OK     bool   `json:"ok"`
}

// wentThrough and notTried are outcomes of trials; others are errors.
const (
	wentThrough = nestedWorked
	notTried    = "not tried"
)

// Proof is the outcome of Prove.
type Proof struct {
	Trials []Trial `json:"trials"`
	// Arrived counts what the observer, a process without a fence, got from the
	// fenced one behind its fence: bytes on the way out, whatever the errors said.
	Arrived int `json:"arrived"`
}

// OK reports whether nothing got out and everything that must go on does.
func (p Proof) OK() bool {
	for _, t := range p.Trials {
		if !t.OK {
			return false
		}
	}
	return len(p.Trials) > 0 && p.Arrived == 0
}

// The messages of Try, in this order; Prove answers the second and the third
// with a connection each to the address in them.
type (
	order  struct{ Before, Behind observed }
	notice struct {
		Accept string  `json:"accept,omitempty"` // connect here
		Trials []Trial `json:"trials,omitempty"`
		Error  string  `json:"error,omitempty"`
	}
)

// Prove starts a process, which must call Try, and observes from this one,
// which must have no fence, what comes out of it. The process ends with ctx.
func Prove(ctx context.Context, cmd *exec.Cmd) (Proof, error) {
	before, err := observe()
	if err != nil {
		return Proof{}, err
	}
	defer before.close()
	behind, err := observe()
	if err != nil {
		return Proof{}, err
	}
	defer behind.close()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return Proof{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Proof{}, err
	}
	if err := cmd.Start(); err != nil {
		return Proof{}, fmt.Errorf("cannot start a process to try the fence in: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	trials, err := follow(in, out, order{before.observed, behind.observed})
	_ = in.Close()
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("the process that tries the fence failed: %w", ended)
	}
	return Proof{Trials: trials, Arrived: int(behind.arrived.Load())}, err
}

// follow gives the process its order and reads what it says.
func follow(in io.Writer, out io.Reader, o order) ([]Trial, error) {
	if err := json.NewEncoder(in).Encode(o); err != nil {
		return nil, err
	}
	for messages := json.NewDecoder(out); ; {
		var n notice
		if err := messages.Decode(&n); err != nil {
			return nil, fmt.Errorf("the process that tries the fence said nothing: %w", err)
		}
		switch {
		case n.Error != "":
			return nil, errors.New(n.Error)
		case n.Accept != "":
			go dial("tcp", n.Accept) // its failure is the other side's to tell
		default:
			return n.Trials, nil
		}
	}
}

// observer listens on the loopback and counts what comes.
type observer struct {
	observed
	dir     string
	all     []io.Closer
	arrived atomic.Int64
}

func observe() (*observer, error) {
	dir, err := os.MkdirTemp("", "cloister-airgap-")
	if err != nil {
		return nil, err
	}
	o := &observer{dir: dir}
	o.Unix = filepath.Join(dir, "s")
	if o.TCP4, err = o.listen("tcp4", "127.0.0.1:0"); err == nil {
		_, err = o.listen("unix", o.Unix)
	}
	if err != nil {
		o.close()
		return nil, fmt.Errorf("cannot observe from outside the fence: %w", err)
	}
	o.TCP6, _ = o.listen("tcp6", "[::1]:0") // a machine may have no IPv6
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		o.close()
		return nil, fmt.Errorf("cannot observe from outside the fence: %w", err)
	}
	o.UDP, o.all = packets.LocalAddr().String(), append(o.all, packets)
	go func() {
		for {
			if _, _, err := packets.ReadFrom(make([]byte, 16)); err != nil {
				return
			}
			o.arrived.Add(1)
		}
	}()
	return o, nil
}

func (o *observer) listen(network, address string) (string, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return "", err
	}
	o.all = append(o.all, l)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.arrived.Add(1)
			_ = c.Close()
		}
	}()
	return l.Addr().String(), nil
}

func (o *observer) close() {
	for _, c := range o.all {
		_ = c.Close()
	}
	_ = os.RemoveAll(o.dir)
}

// Try is the process that Prove starts. It tries everything, puts up the fence,
// tries everything again and writes what became of it. nested makes the
// process that prints what Nested says of an address.
func Try(in io.Reader, out io.Writer, nested func(address string) *exec.Cmd, fence func() error) error {
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return err
	}
	say := json.NewEncoder(out)
	trials, err := try(o, nested, fence, say)
	if err != nil {
		return say.Encode(notice{Error: err.Error()})
	}
	return say.Encode(notice{Trials: trials})
}

func try(o order, nested func(string) *exec.Cmd, fence func() error, say *json.Encoder) ([]Trial, error) {
	before, err := newSubject(o.Before, nested, say)
	if err != nil {
		return nil, err
	}
	defer before.close()
	behind, err := newSubject(o.Behind, nested, say)
	if err != nil {
		return nil, err
	}
	defer behind.close()
	out := make([]Trial, len(trials))
	for i, t := range trials {
		out[i] = Trial{Name: t.name, Works: t.works, Before: notTried, Now: notTried}
		if !t.outside {
			out[i].Before = before.outcome(t, say)
		}
	}
	if err := fence(); err != nil {
		return nil, err
	}
	holds := true // what would leave the machine is tried only while it does
	for i, t := range trials {
		if t.outside && !holds {
			continue
		}
		out[i].Now = behind.outcome(t, say)
		out[i].OK = (out[i].Now == wentThrough) == t.works
		holds = holds && (t.works || out[i].OK)
	}
	return out, nil
}

func (s *subject) outcome(t trial, say *json.Encoder) string {
	if t.works {
		if err := say.Encode(notice{Accept: s.listener.Addr().String()}); err != nil {
			return cause(err)
		}
	}
	if err := t.try(s); err != nil {
		return cause(err)
	}
	return wentThrough
}

// newSubject makes the sockets that a process may have when its fence goes up.
func newSubject(o observed, nested func(string) *exec.Cmd, say *json.Encoder) (*subject, error) {
	s := &subject{observed: o, nested: nested, tcp: -1, fast: -1, udp: -1}
	err := s.make(say)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("cannot prepare the trials: %w", err)
	}
	return s, nil
}

func (s *subject) make(say *json.Encoder) (err error) {
	if s.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return err
	}
	if s.spare, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return err
	}
	if err := say.Encode(notice{Accept: s.listener.Addr().String()}); err != nil {
		return err
	}
	if s.accepted, err = s.listener.Accept(); err != nil {
		return err
	}
	if s.tcp, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if s.fast, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if s.udp, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	line, theirs, err := NewLine()
	if err != nil {
		return err
	}
	s.line = line
	s.lines, err = NewListener(theirs)
	return err
}

func (s *subject) close() {
	for _, fd := range []int{s.tcp, s.fast, s.udp} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	if s.line != nil {
		_ = s.line.Close()
	}
	closeAll(s.accepted)
	for _, l := range []net.Listener{s.listener, s.spare, s.lines} {
		if l != nil {
			_ = l.Close()
		}
	}
}
