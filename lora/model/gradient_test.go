package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/model"
)

func backward(t testing.TB, m *model.Model, b *model.Batch, scale float64) model.Loss {
	t.Helper()
	l, err := m.Backward(b, scale)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func loss(t testing.TB, m *model.Model, b *model.Batch) model.Loss {
	t.Helper()
	l, err := m.Loss(b)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// finiteDifferences compares every gradient with central differences along
// random directions. The step is a compromise between the curvature and the
// rounding of a loss in float32, which bounds what can be asked for.
func finiteDifferences(t *testing.T, m *model.Model, b *model.Batch) {
	t.Helper()
	m.ZeroGrad()
	backward(t, m, b, 1)
	differences(t, m, func() float64 { return loss(t, m, b).Sum })
}

// differences does so with the gradients that the params hold.
func differences(t *testing.T, m *model.Model, sum func() float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 3))
	for _, p := range m.Params() {
		dir, grad := make([]float32, p.Len()), values(p.Grad)
		var want, norm float64
		for i := range dir {
			dir[i] = float32(rng.NormFloat64())
			// Mostly along the gradient, so that the difference is well above the noise.
			norm += float64(grad[i]) * float64(grad[i])
		}
		norm = math.Sqrt(norm)
		if norm == 0 {
			t.Errorf("%s: the gradient is zero", p.Name)
			continue
		}
		for i := range dir {
			dir[i] = float32(float64(grad[i])/norm + 0.3*float64(dir[i])/math.Sqrt(float64(len(dir))))
			want += float64(dir[i]) * float64(grad[i])
		}
		orig := values(p.Data)
		at := func(h float64) float64 {
			edit(p.Data, func(values []float32) {
				for i := range orig {
					values[i] = orig[i] + float32(h*float64(dir[i]))
				}
			})
			return sum()
		}
		const h = 4e-3
		got := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
		edit(p.Data, func(values []float32) { copy(values, orig) })
		if math.Abs(got-want) > 2e-3*math.Abs(want)+2e-3 {
			t.Errorf("%s: derivative along a direction is %g, differences say %g", p.Name, want, got)
		}
	}
}

func TestGradients(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*tinygguf.Config)
		cfg    model.Config
	}{
		{"default", nil, model.Config{}},
		{"alpha, odd rank", nil, model.Config{Rank: 3, Alpha: 12}},
		{"plain C", nil, model.Config{Naive: true}},
		{"blocked attention", func(c *tinygguf.Config) { c.HeadDim = 16; c.Heads = 6; c.KVHeads = 2 }, model.Config{}},
		{"tied", func(c *tinygguf.Config) { c.Tied = true }, model.Config{}},
		{"quantised", func(c *tinygguf.Config) { c.Type = gguf.Q4_1; c.Embedding = 64; c.FFN = 96 }, model.Config{}},
		{"recompute", nil, model.Config{Recompute: true}},
		{"attn_q only", nil, model.Config{Targets: []string{"attn_q"}}},
		{"attn_v and attn_k", nil, model.Config{Targets: []string{"attn_v", "attn_k"}}},
		{"attn_output only", nil, model.Config{Targets: []string{"attn_output"}}},
		{"ffn_up only", nil, model.Config{Targets: []string{"ffn_up"}}},
		{"ffn_down only", nil, model.Config{Targets: []string{"ffn_down"}}},
		{"attn_k and ffn_down", nil, model.Config{Targets: []string{"ffn_down", "attn_k"}}},
		{"three layers", func(c *tinygguf.Config) { c.Layers = 3 }, model.Config{Recompute: true, Targets: []string{"attn_output"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := open(t, tiny(t, tt.change), tt.cfg)
			randomB(m, 5)
			finiteDifferences(t, m, packed(m.Info().Vocab, 2, 7, 1, 12))
		})
	}
}

func gradients(m *model.Model) [][]float32 {
	var out [][]float32
	for _, p := range m.Params() {
		out = append(out, values(p.Grad))
	}
	return out
}

// distance is the largest ‖a-b‖/‖b‖ over the matrices.
func distance(a, b [][]float32) float64 {
	var worst float64
	for i := range a {
		var diff, norm float64
		for j := range a[i] {
			d := float64(a[i][j]) - float64(b[i][j])
			diff, norm = diff+d*d, norm+float64(b[i][j])*float64(b[i][j])
		}
		worst = max(worst, math.Sqrt(diff/norm))
	}
	return worst
}

func same(a, b [][]float32) bool {
	for i := range a {
		for j := range a[i] {
			if math.Float32bits(a[i][j]) != math.Float32bits(b[i][j]) {
				return false
			}
		}
	}
	return true
}

// The same bytes whatever the number of threads and what is kept; nearly the same from plain C.
func TestDeterministic(t *testing.T) {
	path := tiny(t, func(c *tinygguf.Config) { c.Layers = 4; c.HeadDim = 16; c.Type = gguf.Q8_0; c.Embedding = 64 })
	collect := func(cfg model.Config) ([][]float32, model.Loss) {
		m := openBest(t, path, cfg)
		randomB(m, 5)
		backward(t, m, packed(m.Info().Vocab, 9, 200), 0.5)
		m.ZeroGrad()
		l := backward(t, m, packed(m.Info().Vocab, 2, 50, 100, 33), 1)
		return gradients(m), l
	}
	half := openBest(t, path, model.Config{}).MemoryFor(200) * 6 / 10
	var want [][]float32
	var wantLoss model.Loss
	for _, p := range model.Precisions() { // float32 last
		want, wantLoss = collect(model.Config{Threads: 1, Precision: p})
		for _, cfg := range []model.Config{{Threads: 2}, {Threads: 3}, {Threads: 7}, {Recompute: true}, {MemoryLimit: half}} {
			cfg.Precision = p
			got, l := collect(cfg)
			if !same(got, want) || l != wantLoss {
				t.Errorf("%+v: loss %v and gradients differ by %g from one thread's %v", cfg, l, distance(got, want), wantLoss)
			}
		}
	}
	got, l := collect(model.Config{Naive: true})
	if d := distance(got, want); d > 1e-5 || math.Abs(l.Sum-wantLoss.Sum) > 1e-5*wantLoss.Sum || l.Correct != wantLoss.Correct {
		t.Errorf("plain C: gradients differ by %g, loss %v and %v", d, l, wantLoss)
	}
}

// A packed row gives the losses and the gradients of its segments alone.
func TestPackedEqualsSeparate(t *testing.T) {
	m := open(t, tiny(t, func(c *tinygguf.Config) { c.HeadDim = 16 }), model.Config{})
	randomB(m, 5)
	lengths := []int{17, 1, 64, 40, 90}
	row := packed(m.Info().Vocab, 4, lengths...)
	m.ZeroGrad()
	whole := backward(t, m, row, 0.25)
	together := gradients(m)
	m.ZeroGrad()
	var parts model.Loss
	from := 0
	for _, n := range lengths {
		part := &model.Batch{Tokens: row.Tokens[from : from+n], Pos: row.Pos[from : from+n], Seq: row.Seq[from : from+n], Targets: row.Targets[from : from+n]}
		l := backward(t, m, part, 0.25)
		parts = model.Loss{Sum: parts.Sum + l.Sum, Tokens: parts.Tokens + l.Tokens, Correct: parts.Correct + l.Correct}
		if f := loss(t, m, part); f != l {
			t.Errorf("forward alone says %v, forward and backward %v", f, l)
		}
		from += n
	}
	if d := distance(together, gradients(m)); d > 1e-5 {
		t.Errorf("gradients differ by %g", d)
	}
	if math.Abs(parts.Sum-whole.Sum) > 1e-6*whole.Sum || parts.Tokens != whole.Tokens || parts.Correct != whole.Correct {
		t.Errorf("packed %v, separate %v", whole, parts)
	}
}

// prompted is a packed row whose segments all begin with the same n tokens
// without targets, as examples with one system prompt do.
func prompted(vocab int, n int, lengths ...int) *model.Batch {
	b := packed(vocab, 4, lengths...)
	from := 0
	for _, l := range lengths {
		for i := range min(n, l) {
			b.Tokens[from+i], b.Targets[from+i] = int32(7+i), -1
		}
		from += l
	}
	return b
}

// What all segments begin with is computed once, and nothing else changes.
func TestSharedBeginning(t *testing.T) {
	path := tiny(t, func(c *tinygguf.Config) { c.HeadDim = 16 })
	shared, separate := open(t, path, model.Config{}), open(t, path, model.Config{SeparatePrefixes: true})
	randomB(shared, 5)
	randomB(separate, 5)
	for _, b := range []*model.Batch{
		prompted(288, 24, 40, 30, 25, 80, 31), prompted(288, 70, 75, 71, 100), prompted(288, 16, 17, 16, 20),
		prompted(288, 9, 9, 9), prompted(288, 3, 10, 10), prompted(288, 5, 50),
	} {
		shared.ZeroGrad()
		separate.ZeroGrad()
		l0, l1 := backward(t, separate, b, 0.5), backward(t, shared, b, 0.5)
		if math.Abs(l0.Sum-l1.Sum) > 1e-6*l0.Sum || l0.Tokens != l1.Tokens || l0.Correct != l1.Correct {
			t.Errorf("row of %d: shared %v, separate %v", len(b.Tokens), l1, l0)
		}
		if d := distance(gradients(shared), gradients(separate)); l0.Tokens > 0 && !(d < 1e-5) {
			t.Errorf("row of %d: gradients differ by %g", len(b.Tokens), d)
		}
		if f := loss(t, shared, b); f != l1 {
			t.Errorf("row of %d: forward alone says %v, forward and backward %v", len(b.Tokens), f, l1)
		}
	}
}

// With B zero the gradient of A is zero and the logits are the base's.
func TestFreshAdapter(t *testing.T) {
	path := tiny(t, nil)
	m := open(t, path, model.Config{Rank: 8, Seed: 42})
	b := packed(m.Info().Vocab, 2, 20)
	backward(t, m, b, 1)
	for i, p := range m.Params() {
		var sum, grad, largest float64
		data, grads := values(p.Data), values(p.Grad)
		for j := range data {
			sum += math.Abs(float64(data[j]))
			grad += math.Abs(float64(grads[j]))
			largest = max(largest, math.Abs(float64(data[j])))
		}
		if a := i%2 == 0; a {
			bound := 1 / math.Sqrt(float64(p.Cols))
			if grad != 0 || largest > bound || largest < 0.9*bound || math.Abs(sum/float64(p.Len())-bound/2) > bound/8 {
				t.Errorf("%s: gradient %g, largest value %g, mean size %g; want 0, just below %g, and half of that", p.Name, grad, largest, sum/float64(p.Len()), bound)
			}
		} else if sum != 0 || grad == 0 {
			t.Errorf("%s: values %g and gradient %g; want 0 and not 0", p.Name, sum, grad)
		}
	}
	again, other := open(t, path, model.Config{Rank: 8, Seed: 42, Targets: []string{"ffn_up"}}), open(t, path, model.Config{Rank: 8, Seed: 43})
	byName := map[string]*model.Param{}
	for _, p := range m.Params() {
		byName[p.Name] = p
	}
	for i, p := range again.Params() {
		if !same([][]float32{values(p.Data)}, [][]float32{values(byName[p.Name].Data)}) {
			t.Errorf("%s: not the same for the same seed", p.Name)
		}
		if q := other.Params()[0]; i == 0 && same([][]float32{values(q.Data)}, [][]float32{values(byName[q.Name].Data)}) {
			t.Errorf("%s: the same for another seed", q.Name)
		}
	}
}

// The rank, scale and order of the parameters are those of the adapter file.
func TestParams(t *testing.T) {
	m := open(t, tiny(t, nil), model.Config{Rank: 5, Alpha: 10, Targets: []string{"ffn_gate", "attn_k"}})
	var got []string
	for _, p := range m.Params() {
		got = append(got, fmt.Sprintf("%s %dx%d", p.Name, p.Rows, p.Cols))
	}
	want := []string{
		"blk.0.attn_k.weight.lora_a 5x32", "blk.0.attn_k.weight.lora_b 16x5", "blk.0.ffn_gate.weight.lora_a 5x32", "blk.0.ffn_gate.weight.lora_b 64x5",
		"blk.1.attn_k.weight.lora_a 5x32", "blk.1.attn_k.weight.lora_b 16x5", "blk.1.ffn_gate.weight.lora_a 5x32", "blk.1.ffn_gate.weight.lora_b 64x5",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if m.Scale() != 2 {
		t.Errorf("scale is %g, want 2", m.Scale())
	}
}
