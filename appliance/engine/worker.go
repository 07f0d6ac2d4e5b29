package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"cloister/appliance/airgap"
	"cloister/llama"
	"cloister/lora/train"
)

// ServeInfer is the whole life of an inference worker: it reads its
// configuration from in, says on out where the model will lie, loads it, says
// "ready" and serves what comes over the inherited descriptor 3 until in ends,
// which it does when the parent closes it or dies.
func ServeInfer(in io.Reader, out io.Writer) error {
	return ServeInferWith(in, out, func(path string, o Options, tell func(Placement) error) (Engine, error) {
		return openLocal(path, o, tell)
	})
}

// Open opens the engine of a worker; tell says where the model will lie, before
// it is loaded.
type Open func(path string, o Options, tell func(Placement) error) (Engine, error)

// ServeInferWith is ServeInfer with another engine, for tests of what a card does.
func ServeInferWith(in io.Reader, out io.Writer, open Open) error {
	dec := json.NewDecoder(in)
	var cfg inferConfig
	if err := dec.Decode(&cfg); err != nil {
		return fmt.Errorf("worker configuration: %w", err)
	}
	told := false
	e, err := open(cfg.Model, cfg.Options, func(p Placement) error {
		told = true
		return writeLine(out, placedLine{Result: p})
	})
	if err != nil && !told {
		return writeLine(out, placedLine{Error: toWire(err)})
	}
	if err != nil {
		return writeLine(out, readyLine{Error: toWire(err)})
	}
	l, err := airgap.NewListener(os.NewFile(lineFD, "descriptor 3"))
	if err != nil {
		_ = e.Close()
		return writeLine(out, readyLine{Error: toWire(err)})
	}
	srv := &http.Server{Handler: handler(e)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in))
		_ = e.Close()
		_ = srv.Close()
	}()
	if err := writeLine(out, readyLine{Result: "ready"}); err != nil {
		return err
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, io.EOF) {
		return err
	}
	<-ended
	return nil
}

func writeLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// handler serves an Engine over the protocol.
func handler(e Engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /chat", func(w http.ResponseWriter, r *http.Request) { serveChat(e, w, r) })
	mux.HandleFunc("POST /info", method(func(ctx context.Context, _ struct{}) (Info, error) { return e.Info(ctx) }))
	mux.HandleFunc("POST /count", method(func(ctx context.Context, q countRequest) (int, error) {
		return e.CountTokens(ctx, q.Messages)
	}))
	mux.HandleFunc("POST /score", method(func(ctx context.Context, q scoreRequest) (Score, error) {
		s, err := e.Score(ctx, q.Adapter, q.Messages)
		endOf(e, err)
		return s, err
	}))
	mux.HandleFunc("POST /load", method(func(ctx context.Context, q adapterRequest) (struct{}, error) {
		return struct{}{}, e.LoadAdapter(ctx, q.Name, q.Path)
	}))
	mux.HandleFunc("POST /unload", method(func(ctx context.Context, q adapterRequest) (struct{}, error) {
		return struct{}{}, e.UnloadAdapter(ctx, q.Name)
	}))
	return mux
}

// method wraps a call that answers once.
func method[Q, A any](call func(context.Context, Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		var out reply[A]
		err := json.NewDecoder(r.Body).Decode(&q)
		if err == nil {
			begun(w)
			out.Result, err = call(r.Context(), q)
		}
		if err != nil {
			out.Error = toWire(err)
		}
		_ = writeLine(w, out)
	}
}

// begun sends the header of the response: from here on the request may be what
// ends this process, and the parent does not give it to another one.
func begun(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func serveChat(e Engine, w http.ResponseWriter, r *http.Request) {
	var req ChatRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		_ = writeLine(w, chatLine{Error: toWire(err)})
		return
	}
	begun(w)
	flush := http.NewResponseController(w).Flush
	res, err := e.Chat(r.Context(), req, func(c Chunk) error {
		if err := writeLine(w, chatLine{Chunk: &c}); err != nil {
			return err
		}
		return flush()
	})
	endOf(e, err)
	if err != nil {
		_ = writeLine(w, chatLine{Error: toWire(err)})
		return
	}
	_ = writeLine(w, chatLine{Result: &res})
}

// endOf ends this process when a card failed in a request without ggml ending
// it: the context is not to be trusted, and the parent knows what to do.
func endOf(e Engine, err error) {
	if !errors.Is(err, llama.ErrFatal) {
		return
	}
	if info, failed := e.Info(context.Background()); failed == nil && info.OnCard() {
		fmt.Fprintln(os.Stderr, aborted+err.Error())
		os.Exit(exitFatal)
	}
}

// exitFatal is the exit status of a worker whose card failed.
const exitFatal = 70

// trainNice is the priority of a training worker: chat stays responsive beside it.
const trainNice = 19

// ServeTrain is the whole life of a training worker: it reads one request, to
// train or to estimate, from in, writes events and the result to out, and stops at the next step, after a
// checkpoint, when it gets SIGTERM or in ends because the parent died.
func ServeTrain(in io.Reader, out io.Writer) error {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, trainNice)
	dec := json.NewDecoder(in)
	var req trainRequest
	if err := dec.Decode(&req); err != nil {
		return fmt.Errorf("training request: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in))
		cancel()
	}()
	var mu sync.Mutex
	send := func(l trainLine) {
		mu.Lock()
		defer mu.Unlock()
		_ = writeLine(out, l)
	}
	var end trainLine
	var err error
	switch {
	case req.Plan != nil:
		end.Memory, err = pointer(train.PlanMemory(ctx, *req.Plan))
	case req.Estimate:
		end.Estimation, err = pointer(train.Estimate(ctx, req.Request))
	default:
		end.Result, err = pointer(train.Run(ctx, req.Request, func(e train.Event) { send(trainLine{Event: &e}) }))
	}
	if err != nil { // the result says how far it came
		end = trainLine{Error: toWire(err), Result: end.Result}
	}
	send(end)
	return nil
}

func pointer[T any](v T, err error) (*T, error) { return &v, err }
