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
	"cloister/lora/train"
)

// ServeInfer is the whole life of an inference worker: it reads its
// configuration from in, loads the model, says "ready" on out and serves what
// comes over the inherited descriptor 3 until in ends, which it does when the
// parent closes it or dies.
func ServeInfer(in io.Reader, out io.Writer) error {
	dec := json.NewDecoder(in)
	var cfg inferConfig
	if err := dec.Decode(&cfg); err != nil {
		return fmt.Errorf("worker configuration: %w", err)
	}
	e, err := OpenLocal(cfg.Model, cfg.Options)
	if err != nil {
		return writeLine(out, reply[string]{Error: toWire(err)})
	}
	l, err := airgap.NewListener(os.NewFile(lineFD, "descriptor 3"))
	if err != nil {
		_ = e.Close()
		return writeLine(out, reply[string]{Error: toWire(err)})
	}
	srv := &http.Server{Handler: handler(e)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in))
		_ = e.Close()
		_ = srv.Close()
	}()
	if err := writeLine(out, reply[string]{Result: "ready"}); err != nil {
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
		return e.Score(ctx, q.Adapter, q.Messages)
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
	if err != nil {
		_ = writeLine(w, chatLine{Error: toWire(err)})
		return
	}
	_ = writeLine(w, chatLine{Result: &res})
}

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
	if req.Estimate {
		end.Estimation, err = pointer(train.Estimate(ctx, req.Request))
	} else {
		end.Result, err = pointer(train.Run(ctx, req.Request, func(e train.Event) { send(trainLine{Event: &e}) }))
	}
	if err != nil { // the result says how far it came
		end = trainLine{Error: toWire(err), Result: end.Result}
	}
	send(end)
	return nil
}

func pointer[T any](v T, err error) (*T, error) { return &v, err }
