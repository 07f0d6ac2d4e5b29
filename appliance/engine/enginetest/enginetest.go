// Package enginetest is the contract of engine.Engine as a test suite, which
// each implementation runs.
package enginetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"cloister/appliance/engine"
	"cloister/llama"
	"cloister/llama/chat"
)

// ContextTokens is the context that open must give the engine.
const ContextTokens = 512

// Run runs the suite. open makes a fresh engine of SmolLM2-135M-Instruct;
// adapter is the path of an adapter for it that changes its answers.
func Run(t *testing.T, adapter string, open func(t *testing.T) engine.Engine) {
	e := open(t)
	t.Cleanup(func() { e.Close() })
	t.Run("Info", func(t *testing.T) { testInfo(t, e) })
	t.Run("Chat", func(t *testing.T) { testChat(t, e) })
	t.Run("Errors", func(t *testing.T) { testErrors(t, e) })
	t.Run("Adapter", func(t *testing.T) { testAdapter(t, e, adapter) })
	t.Run("Score", func(t *testing.T) { testScore(t, e) })
	t.Run("Parallel", func(t *testing.T) { testParallel(t, e) })
	t.Run("Close", func(t *testing.T) { testClose(t, open(t)) })
}

// Ask is a conversation of one question.
func Ask(q string) []chat.Message { return []chat.Message{{Role: "user", Content: q}} }

// AnswerLimit is how long the first answer after a worker's death may take on
// this machine as busy as it is, where the worker's first start with its first
// answer took so long: the 3 s that are promised, or, where others compute as
// well and the first start shows it, three such starts. With nothing else
// running both take about 0.4 s.
func AnswerLimit(firstStart time.Duration) time.Duration { return max(3*time.Second, 3*firstStart) }

func testInfo(t *testing.T, e engine.Engine) {
	got, err := e.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Architecture != "llama" || got.Vocabulary != 49152 || got.ServeContext != ContextTokens || got.ParallelSlots < 1 ||
		got.Parameters < 130e6 || got.SizeBytes < 80e6 || got.TrainContext != 2048 && got.TrainContext != 8192 {
		t.Errorf("got %+v", got)
	}
}

func testChat(t *testing.T, e engine.Engine) {
	req := engine.ChatRequest{Messages: Ask("What is the capital of France?"), MaxTokens: 12}
	var text strings.Builder
	r, err := e.Chat(t.Context(), req, func(c engine.Chunk) error {
		if c.Text == "" || !utf8.ValidString(c.Text) {
			t.Errorf("chunk %q", c.Text)
		}
		text.WriteString(c.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Text == "" || r.Text != text.String() || r.CompletionTokens == 0 || r.CompletionTokens > 12 {
		t.Errorf("got %+v, streamed %q", r, text.String())
	}
	n, err := e.CountTokens(t.Context(), req.Messages)
	if err != nil || n != r.PromptTokens {
		t.Errorf("CountTokens is %d, %v; the prompt had %d", n, err, r.PromptTokens)
	}
	again, err := e.Chat(t.Context(), req, nil)
	if err != nil || again.Text != r.Text {
		t.Errorf("without emit: %+v, %v; want the same answer", again, err)
	}
}

func testErrors(t *testing.T, e engine.Engine) {
	var ce *engine.ContextError
	_, err := e.Chat(t.Context(), engine.ChatRequest{Messages: Ask(strings.Repeat("many words ", 600))}, nil)
	if !errors.As(err, &ce) || ce.Limit != ContextTokens || ce.Prompt <= ContextTokens {
		t.Errorf("a prompt that is too long: %v", err)
	}
	many := make([]chat.Message, 100_000)
	for i := range many {
		many[i] = chat.Message{Role: "user", Content: "a"}
	}
	start := time.Now()
	if _, err = e.Chat(t.Context(), engine.ChatRequest{Messages: many}, nil); !errors.As(err, &ce) || time.Since(start) > 10*time.Second {
		t.Errorf("very many messages: %v after %v", err, time.Since(start))
	}
	if _, err = e.CountTokens(t.Context(), many); !errors.As(err, &ce) {
		t.Errorf("very many messages, counted: %v", err)
	}
	if _, err := e.Chat(t.Context(), engine.ChatRequest{Adapter: "none", Messages: Ask("Hello")}, nil); !errors.Is(err, engine.ErrNoAdapter) {
		t.Errorf("unknown adapter: %v", err)
	}
	if err := e.UnloadAdapter(t.Context(), "none"); !errors.Is(err, engine.ErrNoAdapter) {
		t.Errorf("UnloadAdapter of an unknown one: %v", err)
	}
	if err := e.LoadAdapter(t.Context(), "x", "/nonexistent.gguf"); err == nil {
		t.Error("an adapter that does not exist was loaded")
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = e.Chat(ctx, engine.ChatRequest{Messages: Ask("Go on."), IgnoreEOS: true}, func(engine.Chunk) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	boom := errors.New("the reader has gone")
	_, err = e.Chat(t.Context(), engine.ChatRequest{Messages: Ask("Go on."), IgnoreEOS: true}, func(engine.Chunk) error { return boom })
	if !errors.Is(err, boom) {
		t.Errorf("error of emit: %v", err)
	}
}

func testAdapter(t *testing.T, e engine.Engine, path string) {
	req := engine.ChatRequest{Messages: Ask("What is the capital of France?"), MaxTokens: 12}
	base, err := e.Chat(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LoadAdapter(t.Context(), "tuned", path); err != nil {
		t.Fatal(err)
	}
	tuned := req
	tuned.Adapter = "tuned"
	other, err := e.Chat(t.Context(), tuned, nil)
	if err != nil {
		t.Fatal(err)
	}
	if other.Text == base.Text {
		t.Errorf("the adapter changes nothing: %q", base.Text)
	}
	// Side by side: adapters never share a batch or a cached prefix.
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			r, want := req, base.Text
			if i%2 == 1 {
				r, want = tuned, other.Text
			}
			got, err := e.Chat(t.Context(), r, nil)
			if err != nil || !strings.HasPrefix(got.Text, want[:min(len(want), 5)]) {
				t.Errorf("adapter %q in company: %q, %v; alone %q", r.Adapter, got.Text, err, want)
			}
		})
	}
	wg.Wait()
	if err := e.UnloadAdapter(t.Context(), "tuned"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Chat(t.Context(), tuned, nil); !errors.Is(err, engine.ErrNoAdapter) {
		t.Errorf("after UnloadAdapter: %v", err)
	}
	if again, err := e.Chat(t.Context(), req, nil); err != nil || again.Text != base.Text {
		t.Errorf("the base after the adapter: %q, %v; before %q", again.Text, err, base.Text)
	}
}

func testScore(t *testing.T, e engine.Engine) {
	score := func(answer string) float64 {
		s, err := e.Score(t.Context(), "", append(Ask("What is the capital of France?"), chat.Message{Role: "assistant", Content: answer}))
		if err != nil {
			t.Fatal(err)
		}
		if s.Tokens < 3 {
			t.Errorf("%q: %d tokens count, want its words and the end token", answer, s.Tokens)
		}
		return s.LossSum / float64(s.Tokens)
	}
	if right, wrong := score("The capital of France is Paris."), score("Seventeen purple bicycles regret it."); right >= wrong {
		t.Errorf("loss of the right answer %.3f, of nonsense %.3f", right, wrong)
	}
}

func testParallel(t *testing.T, e engine.Engine) {
	var wg sync.WaitGroup
	for range 10 { // more than there are slots
		wg.Go(func() {
			r, err := e.Chat(t.Context(), engine.ChatRequest{Messages: Ask("Say hello."), MaxTokens: 4,
				Sampling: llama.Sampling{Temperature: 0.8, TopP: 0.9}}, nil)
			if err != nil || r.CompletionTokens == 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	wg.Wait()
}

func testClose(t *testing.T, e engine.Engine) {
	started, ended := make(chan struct{}), make(chan error)
	go func() {
		var once sync.Once
		_, err := e.Chat(t.Context(), engine.ChatRequest{Messages: Ask("Go on."), IgnoreEOS: true}, func(engine.Chunk) error {
			once.Do(func() { close(started) })
			return nil
		})
		ended <- err
	}()
	<-started
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, engine.ErrClosed) && !errors.Is(err, engine.ErrWorkerDied) {
		t.Errorf("running request at Close: %v", err)
	}
	if _, err := e.Chat(t.Context(), engine.ChatRequest{Messages: Ask("Hello")}, nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
