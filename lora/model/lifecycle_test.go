package model_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"cloister/llama/gguf/tinygguf"
	"cloister/llama/llamatest"
	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// Everything that is mapped is unmapped by Close, whatever the model did.
func TestNoLeak(t *testing.T) {
	before := native.Mapped()
	path := tiny(t, nil)
	for range 3 {
		m, err := model.Open(path, model.Config{Rank: 4})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{10, 300, 50} {
			backward(t, m, packed(m.Info().Vocab, 1, n), 1)
			loss(t, m, packed(m.Info().Vocab, 1, n))
		}
		if native.Mapped() == before {
			t.Fatal("an open model maps nothing")
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Backward(packed(8, 1, 2), 1); !errors.Is(err, model.ErrClosed) {
			t.Errorf("Backward after Close: %v, want %v", err, model.ErrClosed)
		}
	}
	if _, err := model.Open(edited(t, tinygguf.Default(), drop("output_norm.weight")), model.Config{Rank: 4}); err == nil {
		t.Fatal("a model without output norm opened")
	}
	if n := native.Mapped(); n != before {
		t.Errorf("%d bytes stay mapped", n-before)
	}
}

// Memory grows with the longest row only, to what MemoryFor says.
func TestMemoryFor(t *testing.T) {
	base := native.Mapped()
	m := open(t, tiny(t, func(c *tinygguf.Config) { c.Layers = 6; c.HeadDim = 16 }), model.Config{Device: model.OnCPU})
	fixed := native.Mapped() - base
	for i, n := range []int{400, 30, 400, 100} {
		b := packed(m.Info().Vocab, 1, n)
		for j := range b.Targets {
			b.Targets[j] = 1
		}
		backward(t, m, b, 1)
		used, planned := native.Mapped()-base-fixed, m.MemoryFor(400)
		if float64(used) > float64(planned) || float64(used) < 0.9*float64(planned)-(1<<20) {
			t.Errorf("after row %d of %d tokens %d bytes are mapped; MemoryFor(400) is %d", i, n, used, planned)
		}
	}
	if a, b := m.MemoryFor(200), m.MemoryFor(400); b <= a || b > 3*a {
		t.Errorf("MemoryFor: %d for 200 tokens, %d for 400", a, b)
	}
	if m.MemoryFor(0) != 0 {
		t.Error("no tokens take memory")
	}
}

// With a limit, layers are computed again until the row fits; a row that cannot fit is refused.
func TestMemoryLimit(t *testing.T) {
	path := tiny(t, func(c *tinygguf.Config) { c.Layers = 6 })
	free, least := open(t, path, model.Config{Device: model.OnCPU}), open(t, path, model.Config{Device: model.OnCPU, Recompute: true})
	row := func(m *model.Model) int64 { // what the limit is about
		p, err := m.Plan(model.Full(300))
		if err != nil {
			t.Fatal(err)
		}
		return p.Activations + p.Work
	}
	all, none := row(free), row(least)
	if none > all*6/10 {
		t.Errorf("recomputing takes %d bytes, keeping %d", none, all)
	}
	limit := (all + none) / 2
	m := open(t, path, model.Config{Device: model.OnCPU, MemoryLimit: limit})
	before := native.Mapped()
	b := packed(m.Info().Vocab, 1, 300)
	backward(t, m, b, 1)
	if used := native.Mapped() - before; used > limit {
		t.Errorf("%d bytes used, the limit is %d", used, limit)
	}
	m = open(t, path, model.Config{Device: model.OnCPU, MemoryLimit: 1 << 16})
	if _, err := m.Backward(b, 1); err == nil || !strings.Contains(err.Error(), "300 tokens") {
		t.Errorf("a row that cannot fit: %v", err)
	}
	if _, err := m.Backward(packed(m.Info().Vocab, 1, 4), 1); err != nil {
		t.Errorf("a short row after it: %v", err)
	}
}

func TestBatchRefused(t *testing.T) {
	m := open(t, tiny(t, nil), model.Config{})
	for name, change := range map[string]func(*model.Batch){
		"empty":           func(b *model.Batch) { *b = model.Batch{} },
		"lengths":         func(b *model.Batch) { b.Pos = b.Pos[1:] },
		"token":           func(b *model.Batch) { b.Tokens[3] = 288 },
		"negative token":  func(b *model.Batch) { b.Tokens[3] = -1 },
		"target":          func(b *model.Batch) { b.Targets[2] = 288 },
		"negative target": func(b *model.Batch) { b.Targets[2] = -2 },
		"position":        func(b *model.Batch) { b.Pos[1] = -1 },
		"segments":        func(b *model.Batch) { b.Seq[9] = 0 },
	} {
		b := packed(288, 1, 6, 4)
		change(b)
		if _, err := m.Backward(b, 1); err == nil || !strings.Contains(err.Error(), "batch") {
			t.Errorf("%s: Backward says %v", name, err)
		}
		if _, err := m.Loss(b); err == nil {
			t.Errorf("%s: Loss accepts it", name)
		}
		if _, err := m.Logits(b); err == nil {
			t.Errorf("%s: Logits accepts it", name)
		}
	}
}

// A row without targets has no loss and changes no gradient.
func TestNoTargets(t *testing.T) {
	m := open(t, tiny(t, nil), model.Config{})
	b := packed(m.Info().Vocab, 1, 20)
	for i := range b.Targets {
		b.Targets[i] = -1
	}
	if l := backward(t, m, b, 1); l != (model.Loss{}) {
		t.Errorf("loss %v", l)
	}
	for _, p := range m.Params() {
		for _, g := range values(p.Grad) {
			if g != 0 {
				t.Fatalf("%s has a gradient", p.Name)
			}
		}
	}
}

// ZeroGrad clears, Backward accumulates and scales.
func TestAccumulation(t *testing.T) {
	m := open(t, tiny(t, nil), model.Config{})
	randomB(m, 1)
	b := packed(m.Info().Vocab, 1, 20)
	backward(t, m, b, 1)
	once := gradients(m)
	backward(t, m, b, 2)
	for i := range once {
		for j := range once[i] {
			once[i][j] *= 3
		}
	}
	if d := distance(gradients(m), once); d > 1e-6 {
		t.Errorf("one gradient and its double differ from three by %g", d)
	}
	m.ZeroGrad()
	for _, p := range m.Params() {
		for _, g := range values(p.Grad) {
			if g != 0 {
				t.Fatalf("%s: gradient %g after ZeroGrad", p.Name, g)
			}
		}
	}
}

func TestInfo(t *testing.T) {
	m := open(t, llamatest.Model(t), model.Config{Rank: 16})
	got := m.Info()
	want := model.Info{Architecture: "llama", Layers: 30, Embedding: 576, Heads: 9, KVHeads: 3, HeadDim: 64, FeedForward: 1536, Vocab: 49152,
		Context: 8192, Parameters: 134515008, WeightBytes: got.WeightBytes, Trainable: 4884480}
	if got != want || got.WeightBytes < 90<<20 || got.WeightBytes > 105<<20 {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// The peak of a real step is what was planned, measured by the kernel's count of resident memory.
func TestResidentMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a step of the real model")
	}
	m := open(t, llamatest.Model(t), model.Config{Rank: 16})
	backward(t, m, packed(m.Info().Vocab, 1, 8), 1) // pages of the file come in
	before := resident(t)
	b := packed(m.Info().Vocab, 1, 100, 28)
	for i := range b.Targets {
		b.Targets[i] = 1
	}
	backward(t, m, b, 1)
	grown, planned := resident(t)-before, m.MemoryFor(128)
	t.Logf("resident memory grew by %d MiB, planned %d MiB", grown>>20, planned>>20)
	if float64(grown) > 1.1*float64(planned) || float64(grown) < 0.6*float64(planned) {
		t.Errorf("resident memory grew by %d MiB, planned %d MiB", grown>>20, planned>>20)
	}
}

// resident is the process's resident memory without the mapped file, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "RssAnon:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no RssAnon")
	return 0
}
