package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"cloister/appliance/airgap"
	"cloister/llama/chat"
)

// Child is the Engine in a worker process of the same binary. When the worker
// dies, its requests fail with ErrWorkerDied and a new worker starts at once,
// with the same adapters.
type Child struct {
	exe   []string // the command line of `worker infer`
	model string
	opts  Options

	mu       sync.Mutex
	adapters map[string]string // name → path, to load again after a restart
	worker   *worker           // the latest; it may have died
	closed   bool
}

var _ Engine = (*Child)(nil)

// worker is one process.
type worker struct {
	cmd    *exec.Cmd
	stdin  io.Closer // closing it ends the worker
	client *http.Client
	dead   chan struct{} // closed when the process has ended
	stderr *tail
}

// NewChild starts a worker for a GGUF model and waits until it is ready. exe
// is the command line that runs ServeInfer on its standard input and output.
func NewChild(ctx context.Context, exe []string, model string, o Options) (*Child, error) {
	c := &Child{exe: exe, model: model, opts: o, adapters: map[string]string{}}
	if _, err := c.live(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// live returns the running worker and starts one if there is none.
func (c *Child) live(ctx context.Context) (*worker, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if c.worker != nil && !c.worker.ended() {
		return c.worker, nil
	}
	w, err := startWorker(ctx, c.exe, c.model, c.opts)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.adapters)) {
		if err := w.load(ctx, adapterRequest{name, c.adapters[name]}); err != nil {
			w.stop()
			return nil, fmt.Errorf("adapter %s after a restart: %w", name, err)
		}
	}
	c.worker = w
	go c.revive(w)
	return w, nil
}

// revive starts the next worker as soon as this one dies, so that the next
// request need not wait for the model to load.
func (c *Child) revive(w *worker) {
	<-w.dead
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _ = c.live(ctx) // an error comes again, and is told, at the next request
}

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
	ready := make(chan error, 1)
	go func() {
		ready <- awaitReady(stdin, stdout, inferConfig{model, o})
		_, _ = io.Copy(io.Discard, stdout)
		_ = w.cmd.Wait()
		_ = line.Close()
		close(w.dead)
	}()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		w.stop()
		if errors.Is(err, io.EOF) {
			<-w.dead
			err = fmt.Errorf("the model worker died while it loaded %s: %s", model, w.stderr)
		}
		return nil, err
	}
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

func awaitReady(stdin io.Writer, stdout io.Reader, cfg inferConfig) error {
	if err := writeLine(stdin, cfg); err != nil {
		return fmt.Errorf("%w: %w", io.EOF, err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return err
	}
	var r reply[string]
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	return r.Error.err()
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
	_ = w.stdin.Close()
	select {
	case <-w.dead:
	case <-time.After(3 * time.Second):
		_ = w.cmd.Process.Kill()
		<-w.dead
	}
	w.client.CloseIdleConnections()
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

// attempts is how many workers a request that none of them begins with may meet.
const attempts = 3

// begin sends a request to the running worker, which has begun with it when
// this returns. One that dies before that, such as of a signal a moment ago,
// costs the request nothing: it goes to the next worker.
func (c *Child) begin(ctx context.Context, path string, body any) (*worker, *http.Response, error) {
	for try := 1; ; try++ {
		w, err := c.live(ctx)
		if err != nil {
			return nil, nil, err
		}
		resp, err := w.post(ctx, path, body)
		if try < attempts && errors.Is(err, ErrWorkerDied) {
			continue
		}
		return w, resp, err
	}
}

// answer reads what a method that answers once has to say.
func answer[A any](ctx context.Context, w *worker, resp *http.Response) (A, error) {
	defer resp.Body.Close()
	var out reply[A]
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out.Result, w.explain(ctx, err)
	}
	return out.Result, out.Error.err()
}

// call runs a method that answers once on the running worker.
func call[A any](ctx context.Context, c *Child, path string, body any) (A, error) {
	w, resp, err := c.begin(ctx, path, body)
	if err != nil {
		var zero A
		return zero, err
	}
	return answer[A](ctx, w, resp)
}

// Info implements Engine.
func (c *Child) Info(ctx context.Context) (Info, error) {
	return call[Info](ctx, c, "/info", struct{}{})
}

// CountTokens implements Engine.
func (c *Child) CountTokens(ctx context.Context, messages []chat.Message) (int, error) {
	return call[int](ctx, c, "/count", countRequest{messages})
}

// Score implements Engine.
func (c *Child) Score(ctx context.Context, adapter string, messages []chat.Message) (Score, error) {
	return call[Score](ctx, c, "/score", scoreRequest{adapter, messages})
}

// LoadAdapter implements Engine.
func (c *Child) LoadAdapter(ctx context.Context, name, path string) error {
	for {
		w, resp, err := c.begin(ctx, "/load", adapterRequest{name, path})
		if err != nil {
			return err
		}
		if _, err := answer[struct{}](ctx, w, resp); err != nil {
			return err
		}
		c.mu.Lock()
		c.adapters[name] = path
		latest := c.worker == w
		c.mu.Unlock()
		if latest {
			return nil
		}
		// The worker died and the next one began before the adapter was noted.
	}
}

// UnloadAdapter implements Engine.
func (c *Child) UnloadAdapter(ctx context.Context, name string) error {
	c.mu.Lock()
	delete(c.adapters, name) // first, or a worker that starts now would load it again
	c.mu.Unlock()
	_, err := call[struct{}](ctx, c, "/unload", adapterRequest{Name: name})
	return err
}

// Chat implements Engine.
func (c *Child) Chat(ctx context.Context, req ChatRequest, emit func(Chunk) error) (ChatResult, error) {
	w, resp, err := c.begin(ctx, "/chat", req)
	if err != nil {
		return ChatResult{}, err
	}
	defer resp.Body.Close() // before its end, it cancels the request
	dec := json.NewDecoder(resp.Body)
	for {
		var line chatLine
		if err := dec.Decode(&line); err != nil {
			return ChatResult{}, w.explain(ctx, err)
		}
		switch {
		case line.Error != nil:
			if ctx.Err() != nil {
				return ChatResult{}, ctx.Err()
			}
			return ChatResult{}, line.Error.err()
		case line.Result != nil:
			return *line.Result, nil
		case line.Chunk != nil && emit != nil:
			if err := emit(*line.Chunk); err != nil {
				return ChatResult{}, err
			}
		}
	}
}

// PID is the process id of the running worker, for tests and status pages; 0 if none runs.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.worker == nil || c.worker.ended() {
		return 0
	}
	return c.worker.cmd.Process.Pid
}

// Close implements Engine.
func (c *Child) Close() error {
	c.mu.Lock()
	w := c.worker
	c.closed = true
	c.mu.Unlock()
	if w != nil {
		w.stop()
	}
	return nil
}

// tail keeps the last bytes written to it: a worker's last words.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - 2048; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
