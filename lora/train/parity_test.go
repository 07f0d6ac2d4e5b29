package train_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/gguf/tinygguf"
	"cloister/llama/llamatest"
	"cloister/llama/sched"
	"cloister/lora/data"
	"cloister/lora/merge"
	"cloister/lora/model"
	"cloister/lora/train"
)

// What is trained is what is served: the loss of an adapter, measured by the
// trainer and by the engine that serves, on bases of every type of weights.

// parityLimit is how far the two losses may be apart. llama.cpp rounds
// activations to 8 bits on quantised weights, which the trainer does not.
func parityLimit(typ string) float64 {
	switch typ {
	case "f32", "f16", "bf16", "q8_0":
		return 0.01
	}
	return 0.03
}

// requantised is a copy of the base with all matrices of a type.
func requantised(t testing.TB, base, typ string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), typ+".gguf")
	r, err := merge.File(t.Context(), openGGUF(t, base), nil, path, merge.Options{Type: typ, Pure: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Fallbacks) > 0 {
		t.Fatalf("%d tensors do not have the type %s", len(r.Fallbacks), typ)
	}
	return path
}

// rowsOf renders examples with the tokenizer of a model.
func rowsOf(t *testing.T, v data.Vocab, examples []train.Example) []data.Row {
	t.Helper()
	var out []data.Row
	for _, e := range examples {
		r, err := data.Render(v, e.Messages, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// served is the mean loss of the rows as the serving engine measures it, with
// the adapter or, with an empty path, without one.
func served(t *testing.T, base, adapter string, examples []train.Example) float64 {
	t.Helper()
	m, err := llama.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, err := sched.New(m, sched.Options{Context: 256, Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name := ""
	if adapter != "" {
		name = "tuned"
		if err := s.LoadAdapter(t.Context(), name, adapter); err != nil {
			t.Fatal(err)
		}
	}
	sum, tokens := 0.0, 0
	for _, r := range rowsOf(t, m, examples) {
		loss, n, err := s.Score(t.Context(), name, r.Tokens, r.Mask)
		if err != nil {
			t.Fatal(err)
		}
		sum, tokens = sum+loss, tokens+n
	}
	return sum / float64(tokens)
}

// trained is the same as the trainer measures it.
func trained(t *testing.T, base string, a *train.Adapter, examples []train.Example) float64 {
	t.Helper()
	m := openTuned(t, base, a)
	sum, tokens := 0.0, 0
	for _, p := range data.Pack(rendered(t, base, examples), 512) {
		l, err := m.Loss((*model.Batch)(&p))
		if err != nil {
			t.Fatal(err)
		}
		sum, tokens = sum+l.Sum, tokens+l.Tokens
	}
	return sum / float64(tokens)
}

// tunedOn trains a small adapter, so that losses are those of a model that has
// learnt something.
func tunedOn(t *testing.T, base string, h train.Hyperparameters, learn []train.Example) (string, *train.Adapter) {
	t.Helper()
	dir := t.TempDir()
	req := train.Request{JobID: "parity", BasePath: base, WorkDir: filepath.Join(dir, "work"), OutPath: filepath.Join(dir, "adapter.gguf"), Train: learn, Hyperparameters: h}
	if _, err := train.Run(context.Background(), req, nil); err != nil {
		t.Fatal(err)
	}
	a, err := train.ReadAdapter(req.OutPath)
	if err != nil {
		t.Fatal(err)
	}
	return req.OutPath, a
}

// parity compares the losses on a copy of the base of each type.
func parity(t *testing.T, base string, h train.Hyperparameters, learn []train.Example, types ...string) (adapter string) {
	t.Helper()
	adapter, a := tunedOn(t, base, h, learn)
	before := served(t, base, "", learn)
	for _, typ := range types {
		t.Run(typ, func(t *testing.T) {
			copied := requantised(t, base, typ)
			theirs, ours := served(t, copied, adapter, learn), trained(t, copied, a, learn)
			apart := math.Abs(theirs/ours - 1)
			t.Logf("%-7s trainer %.4f  engine %.4f  %.2f %% apart; without the adapter %.4f", typ, ours, theirs, 100*apart, before)
			if !(apart < parityLimit(typ)) {
				t.Errorf("the losses are %.2f %% apart, %.0f %% are allowed", 100*apart, 100*parityLimit(typ))
			}
			if !(ours < 0.9*before) {
				t.Errorf("the adapter does nothing: loss %.4f, without it %.4f", ours, before)
			}
			if err := os.Remove(copied); err != nil { // a real F32 copy is half a gigabyte
				t.Error(err)
			}
		})
	}
	return adapter
}

// SmolLM2 has rows of 576 values: whole blocks of 32 and none of 256. Three
// types are enough for make test; make oracle takes all that fit.
func TestParitySmolLM2(t *testing.T) {
	h := train.Hyperparameters{Epochs: 4, BatchSize: 4, LearningRate: 2e-3, Rank: 8, Alpha: 16, WarmupSteps: 2, Seed: 1, Patience: -1}
	base := llamatest.Model(t)
	types := []string{"f16", "q8_0", "q4_0"}
	if os.Getenv(oraclePython) != "" {
		types = append(types, "bf16", "q4_1", "q5_0", "q5_1", "iq4_nl", "mxfp4")
	}
	adapter := parity(t, base, h, facts(8), types...)
	t.Run("f32", func(t *testing.T) { greedy(t, requantised(t, base, "f32"), adapter) })
}

// Types whose blocks have 256 values, on a tiny model, with the others again.
func TestParityTiny(t *testing.T) {
	c := tinygguf.Default()
	c.Embedding, c.FFN, c.Heads, c.KVHeads = 256, 256, 8, 4
	base := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(base, c); err != nil {
		t.Fatal(err)
	}
	h := train.Hyperparameters{Epochs: 10, BatchSize: 4, LearningRate: 1e-3, Rank: 4, Alpha: 8, WarmupSteps: 2, Seed: 1, Patience: -1}
	parity(t, base, h, examples(12, 0), merge.Types()...)
}

// greedy has llama.cpp answer with the adapter on an F32 base, and checks that
// the trainer's likeliest tokens are the same ones all along; then the trainer
// would give the same answer.
func greedy(t *testing.T, base, adapter string) {
	t.Helper()
	lm, err := llama.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer lm.Close()
	lora, err := lm.LoadAdapter(adapter)
	if err != nil {
		t.Fatal(err)
	}
	defer lora.Close()
	a, err := train.ReadAdapter(adapter)
	if err != nil {
		t.Fatal(err)
	}
	m := openKernels(t, base, model.Config{Rank: a.Rank, Alpha: float32(a.Alpha), Precision: model.Float32})
	if err := train.Fill(a, m.Params()); err != nil {
		t.Fatal(err)
	}
	answers := map[string]bool{}
	for _, e := range facts(3) {
		prompt, err := lm.Prompt([]chat.Message{e.Messages[0]})
		if err != nil {
			t.Fatal(err)
		}
		tokens := append(prompt, answer(t, lm, lora, prompt, 20)...)
		b := new(model.Batch)
		for i, tok := range tokens {
			b.Tokens, b.Pos, b.Seq, b.Targets = append(b.Tokens, tok), append(b.Pos, int32(i)), append(b.Seq, 0), append(b.Targets, -1)
		}
		logits, err := m.Logits(b)
		if err != nil {
			t.Fatal(err)
		}
		vocab := len(logits) / len(tokens)
		for i := len(prompt); i < len(tokens); i++ {
			if got := likeliest(logits[(i-1)*vocab : i*vocab]); got != tokens[i] {
				t.Errorf("token %d of the answer: %d in the trainer, %d in the engine", i-len(prompt), got, tokens[i])
			}
		}
		text := ""
		for _, tok := range tokens[len(prompt):] {
			text += string(lm.Piece(tok))
		}
		answers[text] = true
		t.Logf("%q", text)
	}
	if len(answers) < 2 {
		t.Error(fmt.Sprint("all questions have the same answer: ", answers))
	}
}

// answer is llama.cpp's greedy answer, of n tokens or up to its end.
func answer(t *testing.T, lm *llama.Model, lora *llama.Adapter, prompt []int32, n int) (out []int32) {
	t.Helper()
	c, err := lm.NewContext(llama.ContextOptions{Tokens: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetAdapter(lora); err != nil {
		t.Fatal(err)
	}
	at := 0
	next := func(tokens []int32) int32 {
		c.Clear()
		last := 0
		for i, tok := range tokens {
			last = c.Add(tok, at+i, 0, i == len(tokens)-1)
		}
		at += len(tokens)
		if err := c.Decode(); err != nil {
			t.Fatal(err)
		}
		return likeliest(c.Logits(last))
	}
	for tok := next(prompt); ; tok = next([]int32{tok}) {
		if out = append(out, tok); len(out) == n || lm.IsEOG(tok) {
			return out
		}
	}
}

func likeliest(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}
