package sched_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/llamatest"
	"cloister/llama/sched"
)

// model is shared by the tests: it is read-only.
var model = sync.OnceValues(func() (*llama.Model, error) { return llama.Open(modelPath) })

var modelPath string

func open(t *testing.T, o sched.Options) (*sched.Scheduler, *llama.Model) {
	t.Helper()
	modelPath = llamatest.Model(t)
	m, err := model()
	if err != nil {
		t.Fatal(err)
	}
	s, err := sched.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, m
}

func ask(q string) []chat.Message { return []chat.Message{{Role: "user", Content: q}} }

func TestGreedyIsTheSameAloneAndInCompany(t *testing.T) {
	s, _ := open(t, sched.Options{Context: 512, Slots: 3})
	questions := []string{"What is the capital of France?", "Name three colours.", "What is water?", "Count to five.", "대한민국의 수도는?"}
	want := make([]string, len(questions))
	for i, q := range questions {
		r, err := s.Chat(t.Context(), sched.Request{Messages: ask(q), MaxTokens: 16}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Text == "" || r.CompletionTokens == 0 || r.PromptTokens == 0 {
			t.Errorf("%s: %+v", q, r)
		}
		want[i] = r.Text
	}
	var wg sync.WaitGroup
	for i, q := range questions {
		wg.Go(func() {
			var streamed strings.Builder
			r, err := s.Chat(t.Context(), sched.Request{Messages: ask(q), MaxTokens: 16}, func(c sched.Chunk) error {
				if c.Text == "" || !utf8.ValidString(c.Text) {
					t.Errorf("chunk %q", c.Text)
				}
				streamed.WriteString(c.Text)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if streamed.String() != r.Text {
				t.Errorf("streamed %q, result %q", streamed.String(), r.Text)
			}
			// Another batch size takes another order of additions, so a later
			// word may differ; the beginning does not.
			if n := min(len(want[i]), 8); !strings.HasPrefix(r.Text, want[i][:n]) {
				t.Errorf("%s: alone %q, in company %q", q, want[i], r.Text)
			}
		})
	}
	wg.Wait()
}

func TestStopAndLength(t *testing.T) {
	s, _ := open(t, sched.Options{Context: 512, Slots: 1})
	r, err := s.Chat(t.Context(), sched.Request{Messages: ask("Count from 1 to 9, with commas."), MaxTokens: 40, IgnoreEOS: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.FinishReason != "length" || r.CompletionTokens != 40 {
		t.Fatalf("without end token: %+v", r)
	}
	stop := r.Text[len(r.Text)/2 : len(r.Text)/2+5]
	want := r.Text[:strings.Index(r.Text, stop)]
	r, err = s.Chat(t.Context(), sched.Request{Messages: ask("Count from 1 to 9, with commas."), MaxTokens: 40, IgnoreEOS: true, Stop: []string{stop}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Text != want || r.FinishReason != "stop" {
		t.Errorf("with stop %q: %+v, want text %q", stop, r, want)
	}
	if r.CachedTokens == 0 {
		t.Error("the same question again took nothing from the prefix cache")
	}
}

// An answer under a schema is JSON of that form, greedy or drawn; cut short, it
// is the beginning of such. Other answers go on beside it.
func TestSchema(t *testing.T) {
	s, _ := open(t, sched.Options{Context: 512, Slots: 2})
	schema := `{"type":"object","properties":{"names":{"type":"array","items":{"type":"string","maxLength":12},"maxItems":3}},"required":["names"],"additionalProperties":false}`
	var wg sync.WaitGroup
	wg.Go(func() {
		if r, err := s.Chat(t.Context(), sched.Request{Messages: ask("Say hello."), MaxTokens: 20}, nil); err != nil || strings.HasPrefix(r.Text, "{") {
			t.Errorf("without a schema: %+v, %v", r, err)
		}
	})
	seed := int64(3)
	for _, o := range []llama.Sampling{{}, {Temperature: 2, TopK: 40, Seed: &seed}} {
		r, err := s.Chat(t.Context(), sched.Request{Messages: ask("Tell me about apples."), MaxTokens: 200, Schema: schema, Sampling: o}, nil)
		var got struct{ Names *[]string }
		dec := json.NewDecoder(strings.NewReader(r.Text))
		dec.DisallowUnknownFields()
		if err != nil || r.FinishReason != "stop" || dec.Decode(&got) != nil || got.Names == nil || len(*got.Names) > 3 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	r, err := s.Chat(t.Context(), sched.Request{Messages: ask("Tell me about apples."), MaxTokens: 3, Schema: schema}, nil)
	if err != nil || r.FinishReason != "length" || !strings.HasPrefix(r.Text, "{") {
		t.Errorf("cut: %+v, %v", r, err)
	}
	wg.Wait()
	for _, bad := range []string{"{", `{"type":"nothing"}`} {
		if _, err := s.Chat(t.Context(), sched.Request{Messages: ask("x"), Schema: bad}, nil); err == nil || !strings.Contains(err.Error(), "schema") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := s.Chat(t.Context(), sched.Request{Messages: ask("x"), MaxTokens: 2}, nil); err != nil {
		t.Errorf("after a wrong schema: %v", err)
	}
}

func TestSeed(t *testing.T) {
	s, _ := open(t, sched.Options{Context: 512, Slots: 1})
	text := func(seed int64) string {
		r, err := s.Chat(t.Context(), sched.Request{Messages: ask("Tell me a story."), MaxTokens: 24,
			Sampling: llama.Sampling{Temperature: 1.5, TopK: 200, TopP: 0.99, MinP: 0.001, RepeatPenalty: 1.1, Seed: &seed}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Text
	}
	a, b, c := text(1), text(1), text(2)
	if a != b {
		t.Errorf("the same seed gave %q and %q", a, b)
	}
	if a == c {
		t.Errorf("two seeds gave the same: %q", a)
	}
}

// Each sampler does what its name says: the narrow ones leave only the
// likeliest token however hot the draw is, the others change its choice.
func TestSamplers(t *testing.T) {
	s, m := open(t, sched.Options{Context: 512, Slots: 1})
	msgs := ask("Write the word apple ten times.")
	text := func(o llama.Sampling) string {
		t.Helper()
		seed := int64(3)
		o.Seed = &seed
		r, err := s.Chat(t.Context(), sched.Request{Messages: msgs, MaxTokens: 20, Sampling: o, IgnoreEOS: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Text
	}
	greedy := text(llama.Sampling{})
	first, err := m.Tokenize(greedy, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]llama.Sampling{
		"top-k 1":   {Temperature: 2, TopK: 1},
		"top-p 0+":  {Temperature: 2, TopP: 1e-6},
		"min-p 1":   {Temperature: 2, MinP: 1},
		"cold draw": {Temperature: 1e-4},
	} {
		if got := text(o); got[:4] != greedy[:4] {
			t.Errorf("%s: %q, the likeliest is %q", name, got, greedy)
		}
	}
	for name, o := range map[string]llama.Sampling{
		"temperature": {Temperature: 2},
		"repeat":      {RepeatPenalty: 5},
		"presence":    {PresencePenalty: 20},
		"frequency":   {FrequencyPenalty: 20},
		"bias":        {LogitBias: map[int32]float32{first[0]: -100}},
	} {
		if got := text(o); got == greedy {
			t.Errorf("%s changes nothing: %q", name, got)
		}
	}
}

func TestContextOverflow(t *testing.T) {
	s, _ := open(t, sched.Options{Context: 256, Slots: 1})
	var ce *sched.ContextError
	_, err := s.Chat(t.Context(), sched.Request{Messages: ask(strings.Repeat("many words ", 300))}, func(sched.Chunk) error {
		t.Error("a chunk before the error")
		return nil
	})
	if !errors.As(err, &ce) || ce.Limit != 256 || ce.Prompt <= 256 {
		t.Fatalf("got %v", err)
	}
	r, err := s.Chat(t.Context(), sched.Request{Messages: ask("Go on."), IgnoreEOS: true}, nil)
	if err != nil || r.FinishReason != "length" || r.PromptTokens+r.CompletionTokens != 256 {
		t.Errorf("an answer without bound ends at the end of the context: %+v, %v", r, err)
	}
}

func TestCancelAndClose(t *testing.T) {
	s, _ := open(t, sched.Options{Context: 512, Slots: 1})
	boom := errors.New("the reader has gone")
	_, err := s.Chat(t.Context(), sched.Request{Messages: ask("Go on."), IgnoreEOS: true}, func(sched.Chunk) error { return boom })
	if !errors.Is(err, boom) {
		t.Errorf("error of emit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.Chat(ctx, sched.Request{Messages: ask("Go on."), IgnoreEOS: true}, func(sched.Chunk) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	ended := make(chan error)
	started := make(chan struct{}, 1)
	go func() {
		_, err := s.Chat(t.Context(), sched.Request{Messages: ask("Go on."), IgnoreEOS: true}, func(sched.Chunk) error {
			select {
			case started <- struct{}{}:
			default:
			}
			return nil
		})
		ended <- err
	}()
	<-started
	s.Close()
	s.Close()
	if err := <-ended; !errors.Is(err, sched.ErrClosed) {
		t.Errorf("running request at Close: %v", err)
	}
	if _, err := s.Chat(t.Context(), sched.Request{Messages: ask("Hello")}, nil); !errors.Is(err, sched.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// The log-probabilities of a greedy answer and the score of the same tokens
// come by two ways and must agree.
func TestScoreAgreesWithLogprobs(t *testing.T) {
	s, m := open(t, sched.Options{Context: 512, Slots: 2})
	msgs := ask("What is the capital of France?")
	var sum float64
	var text strings.Builder
	n := 0
	_, err := s.Chat(t.Context(), sched.Request{Messages: msgs, MaxTokens: 6, Logprobs: true, TopLogprobs: 3}, func(c sched.Chunk) error {
		for _, p := range c.Logprobs {
			sum -= p.Logprob
			n++
			text.WriteString(p.Token)
			if len(p.Top) != 3 || p.Top[0].Logprob < p.Top[2].Logprob || p.Top[0].Token != p.Token {
				return fmt.Errorf("greedy token %q, likeliest %v", p.Token, p.Top)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := m.Prompt(msgs)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := m.Tokenize(text.String(), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer) != n {
		t.Fatalf("%q has %d tokens, was generated as %d", text.String(), len(answer), n)
	}
	tokens := append(prompt, answer...)
	mask := make([]bool, len(tokens))
	for i := len(prompt); i < len(tokens); i++ {
		mask[i] = true
	}
	got, scored, err := s.Score(t.Context(), "", tokens, mask)
	if err != nil {
		t.Fatal(err)
	}
	if scored != n || math.Abs(got-sum) > 0.02*math.Max(1, sum) {
		t.Errorf("score %.4f over %d tokens, generation %.4f over %d", got, scored, sum, n)
	}
}

func TestUnknownAdapter(t *testing.T) {
	s, _ := open(t, sched.Options{Context: 256, Slots: 1})
	if _, err := s.Chat(t.Context(), sched.Request{Adapter: "none", Messages: ask("Hello")}, nil); !errors.Is(err, sched.ErrNoAdapter) {
		t.Errorf("got %v", err)
	}
	if err := s.LoadAdapter(t.Context(), "x", modelPath); err == nil {
		t.Error("a base model was loaded as an adapter")
	}
	if err := s.UnloadAdapter(t.Context(), "x"); !errors.Is(err, sched.ErrNoAdapter) {
		t.Errorf("got %v", err)
	}
}
