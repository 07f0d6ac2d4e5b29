package airgap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Pair returns the two ends of a connection that never had an address: what a
// sealed process has in place of dialling a Unix socket.
func Pair() (net.Conn, net.Conn, error) {
	a, b, err := filePair(unix.SOCK_STREAM)
	if err != nil {
		return nil, nil, err
	}
	left, err := conn(a)
	right, err2 := conn(b)
	if err := errors.Join(err, err2); err != nil {
		closeAll(left, right)
		return nil, nil, err
	}
	return left, right, nil
}

func filePair(kind int) (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a pair of sockets: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), nil
}

// conn makes a connection of a file, which it closes.
func conn(f *os.File) (net.Conn, error) {
	defer f.Close()
	return net.FileConn(f)
}

func closeAll(conns ...net.Conn) {
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

// Line carries connections to another process: the one holds a Line and dials,
// the other has the Line's file, inherited, and accepts from NewListener. It is
// safe for concurrent use.
type Line struct {
	conn *net.UnixConn
	once sync.Once
}

// NewLine returns a Line and the file for the other process, which the caller
// closes when that has been started.
func NewLine() (*Line, *os.File, error) {
	mine, theirs, err := filePair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, nil, err
	}
	c, err := conn(mine)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return &Line{conn: c.(*net.UnixConn)}, theirs, nil
}

// Dial returns a new connection to the process at the other end. The error
// says that it is gone.
func (l *Line) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, b, err := filePair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer b.Close() // the other process has its own by then
	if _, _, err := l.conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(b.Fd())), nil); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot reach the process: %w", err), a.Close())
	}
	return conn(a)
}

// Close ends the Line; the other process's Accept returns io.EOF.
func (l *Line) Close() error {
	var err error
	l.once.Do(func() { err = l.conn.Close() })
	return err
}

// listener accepts what a Line sends.
type listener struct{ conn *net.UnixConn }

// NewListener returns a listener for the connections that come over the file of
// a Line, which it closes.
func NewListener(f *os.File) (net.Listener, error) {
	c, err := conn(f)
	if err != nil {
		return nil, fmt.Errorf("%s is no line from the appliance: %w", f.Name(), err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("a line from the appliance is a Unix socket"), c.Close())
	}
	return listener{u}, nil
}

// Accept implements net.Listener. The error is io.EOF when the Line was closed.
func (l listener) Accept() (net.Conn, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	for {
		n, m, _, _, err := l.conn.ReadMsgUnix(b, oob)
		if err != nil {
			return nil, err
		}
		if n == 0 && m == 0 {
			return nil, io.EOF
		}
		// A message without a connection is one that this process had no
		// descriptor left for; whoever dialled sees it end.
		messages, err := unix.ParseSocketControlMessage(oob[:m])
		if err != nil || len(messages) != 1 {
			continue
		}
		if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			return conn(os.NewFile(uintptr(fds[0]), "socket"))
		}
	}
}

// Close implements net.Listener.
func (l listener) Close() error { return l.conn.Close() }

// Addr implements net.Listener.
func (l listener) Addr() net.Addr { return l.conn.LocalAddr() }

// Inside is a listener that only this process reaches, by Dial. It is safe for
// concurrent use.
type Inside struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewInside returns an Inside. Close it.
func NewInside() *Inside { return &Inside{conns: make(chan net.Conn), closed: make(chan struct{})} }

// Dial returns a new connection, when Accept has taken its other end.
func (i *Inside) Dial(ctx context.Context) (net.Conn, error) {
	a, b, err := Pair()
	if err != nil {
		return nil, err
	}
	select {
	case i.conns <- b:
		return a, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-i.closed:
		err = net.ErrClosed
	}
	closeAll(a, b)
	return nil, err
}

// Accept implements net.Listener.
func (i *Inside) Accept() (net.Conn, error) {
	select {
	case c := <-i.conns:
		return c, nil
	case <-i.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (i *Inside) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}

// Addr implements net.Listener.
func (i *Inside) Addr() net.Addr { return &net.UnixAddr{Name: "inside", Net: "unix"} }
