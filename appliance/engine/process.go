package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cloister/appliance/airgap"
	"cloister/llama/offload"
)

// worker is one process.
type worker struct {
	cmd    *exec.Cmd
	stdin  io.Closer // closing it ends the worker
	client *http.Client
	dead   chan struct{} // closed when the process has ended
	stderr *tail

	placed  Placement
	began   time.Time      // when it was ready
	using   sync.WaitGroup // requests that run in it
	stopped atomic.Bool    // it ends because it is to end
	noted   bool           // Child has drawn its conclusions from its death
}

// startError is why a worker did not come up.
type startError struct {
	placed *Placement // as far as it was known
	reason string     // its last words; empty if it said what was wrong by itself
	err    error
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// startWorker starts a worker and waits until it is ready. The error is a
// *startError once there was a process.
func startWorker(ctx context.Context, exe []string, model string, o Options) (*worker, error) {
	line, theirs, err := airgap.NewLine()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	w := &worker{dead: make(chan struct{}), stderr: new(tail)}
	w.cmd = command(exe)
	w.cmd.Stderr = w.stderr
	w.cmd.ExtraFiles = []*os.File{theirs} // descriptor lineFD
	if o.Layers == offload.None {         // not even a broken driver may disturb it
		w.cmd.Env = append(os.Environ(), "CUDA_VISIBLE_DEVICES=-1")
	}
	stdin, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, line.Close())
	}
	w.stdin = stdin
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, line.Close())
	}
	if err := w.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start a model worker: %w", err), line.Close())
	}
	w.client = &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return line.Dial(ctx) },
		MaxIdleConnsPerHost: 64,
	}}
	ready := make(chan *startError, 1)
	go func() {
		ready <- awaitReady(stdin, stdout, inferConfig{model, o})
		_, _ = io.Copy(io.Discard, stdout)
		_ = w.cmd.Wait()
		_ = line.Close()
		close(w.dead)
	}()
	var failed *startError
	select {
	case failed = <-ready:
	case <-ctx.Done():
		failed = &startError{err: ctx.Err()}
	}
	if failed.err != nil {
		w.stop()
		if errors.Is(failed.err, io.EOF) {
			<-w.dead
			failed.reason = w.stderr.reason(w.cmd.ProcessState)
			failed.err = fmt.Errorf("the model worker died while it loaded %s: %s", model, failed.reason)
		}
		return nil, failed
	}
	w.placed, w.began = *failed.placed, time.Now()
	return w, nil
}

// Self runs the file that this process was started from, even when another one
// has taken its place on the disk since, as an upgrade does: a worker speaks
// the protocol of its own version.
const Self = "/proc/self/exe"

// SelfCommand is a command line of this very program.
func SelfCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(Self, args...)
	cmd.Args[0] = os.Args[0] // what ps shows
	return cmd
}

// command makes a worker's process: in a group of its own, so that Ctrl-C in
// the terminal reaches only the parent, and killed when the parent dies.
func command(exe []string) *exec.Cmd {
	cmd := exec.Command(exe[0], exe[1:]...)
	if exe[0] == Self {
		cmd = SelfCommand(exe[1:]...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// awaitReady gives the worker its configuration and reads its two lines; err
// is nil when it is ready.
func awaitReady(stdin io.Writer, stdout io.Reader, cfg inferConfig) *startError {
	if err := writeLine(stdin, cfg); err != nil {
		return &startError{err: fmt.Errorf("%w: %w", io.EOF, err)}
	}
	lines := bufio.NewReader(stdout)
	var placed placedLine
	if err := readLine(lines, &placed); err != nil {
		return &startError{err: err}
	}
	if placed.Error != nil {
		return &startError{err: placed.Error.err()}
	}
	var ready readyLine
	if err := readLine(lines, &ready); err != nil {
		return &startError{placed: &placed.Result, err: err}
	}
	return &startError{placed: &placed.Result, err: ready.Error.err()}
}

func readLine(r *bufio.Reader, v any) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

func (w *worker) ended() bool {
	select {
	case <-w.dead:
		return true
	default:
		return false
	}
}

// stop ends the worker, kindly first.
func (w *worker) stop() {
	w.stopped.Store(true)
	_ = w.stdin.Close()
	select {
	case <-w.dead:
	case <-time.After(3 * time.Second):
		_ = w.cmd.Process.Kill()
		<-w.dead
	}
	w.client.CloseIdleConnections()
}

// retire stops the worker once its requests have ended, or after the limit.
// Nobody may be given the worker any more.
func (w *worker) retire(limit time.Duration) {
	w.stopped.Store(true)
	idle := make(chan struct{})
	go func() {
		w.using.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-w.dead:
	case <-time.After(limit):
	}
	w.stop()
}

// post sends a request to the worker.
func (w *worker) post(ctx context.Context, path string, body any) (*http.Response, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://worker"+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, w.explain(ctx, err)
	}
	return resp, nil
}

// explain turns a broken connection into what it means to the caller. It
// returns when the process is gone for certain, so that the next request does
// not meet it again.
func (w *worker) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_ = w.cmd.Process.Kill()
	<-w.dead
	return fmt.Errorf("%w (%w)", ErrWorkerDied, err)
}

// load loads an adapter into this worker.
func (w *worker) load(ctx context.Context, req adapterRequest) error {
	resp, err := w.post(ctx, "/load", req)
	if err != nil {
		return err
	}
	_, err = answer[struct{}](ctx, w, resp)
	return err
}

// tail keeps the first and the last bytes written to it: why a worker died, and
// its last words. Go's own account of an abort may lie between.
type tail struct {
	mu          sync.Mutex
	first, last []byte
}

// Bytes that tail keeps.
const (
	keptFirst = 1024
	keptLast  = 2048
)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(p), keptFirst-len(t.first))
	t.first = append(t.first, p[:n]...)
	t.last = append(t.last, p[n:]...)
	if over := len(t.last) - keptLast; over > 0 {
		t.last = t.last[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(append(bytes.Clone(t.first), t.last...)))
}

// aborted begins the line in which ggml, by way of package llama, says why it
// ends the process.
const aborted = "abort: "

// reason is why a process ended, in one line, from what it wrote and from how
// it ended. Workers write no texts of users.
func (t *tail) reason(state *os.ProcessState) string {
	first := ""
	for line := range strings.Lines(t.String()) {
		line = strings.TrimSpace(line)
		if why, ok := strings.CutPrefix(line, aborted); ok {
			return cut(strings.TrimSpace(why))
		}
		if first == "" {
			first = line
		}
	}
	switch {
	case first != "":
		return cut(first)
	case state != nil:
		return state.String()
	}
	return "it gave no reason"
}

// cut shortens a reason.
func cut(s string) string {
	const most = 300
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
