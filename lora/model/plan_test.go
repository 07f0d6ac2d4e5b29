package model_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// llamaShape is a Llama by its numbers.
type llamaShape struct{ layers, width, heads, kv, ffn, vocab int }

// header writes the file of such a model in Q4_K, cut after its header: norms
// F32, the output matrix Q6_K, as llama.cpp's Q4_K has them.
func (s llamaShape) header(t *testing.T) string {
	t.Helper()
	dim := s.width / s.heads
	kv := []gguf.KV{
		{Key: "general.architecture", Value: "llama"}, {Key: "llama.context_length", Value: uint32(8192)},
		{Key: "llama.embedding_length", Value: uint32(s.width)}, {Key: "llama.block_count", Value: uint32(s.layers)},
		{Key: "llama.feed_forward_length", Value: uint32(s.ffn)}, {Key: "llama.attention.head_count", Value: uint32(s.heads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(s.kv)}, {Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
	}
	var list []gguf.Tensor
	add := func(name string, typ gguf.Type, dims ...int) {
		x := gguf.Tensor{Name: name, Type: typ}
		for _, d := range dims {
			x.Dims = append(x.Dims, uint64(d))
		}
		list = append(list, x)
	}
	add("token_embd.weight", gguf.Q4_K, s.width, s.vocab)
	for i := range s.layers {
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s.weight", i, part) }
		add(name("attn_norm"), gguf.F32, s.width)
		add(name("ffn_norm"), gguf.F32, s.width)
		add(name("attn_q"), gguf.Q4_K, s.width, s.width)
		add(name("attn_k"), gguf.Q4_K, s.width, s.kv*dim)
		add(name("attn_v"), gguf.Q4_K, s.width, s.kv*dim)
		add(name("attn_output"), gguf.Q4_K, s.width, s.width)
		add(name("ffn_gate"), gguf.Q4_K, s.width, s.ffn)
		add(name("ffn_up"), gguf.Q4_K, s.width, s.ffn)
		add(name("ffn_down"), gguf.Q4_K, s.ffn, s.width)
	}
	add("output_norm.weight", gguf.F32, s.width)
	add("output.weight", gguf.Q6_K, s.width, s.vocab)
	var out bytes.Buffer
	if err := gguf.WriteHeader(&out, kv, list); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "header.gguf")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// weights is the bytes of the tensors: 144 of 256 values in Q4_K, 210 in Q6_K.
func (s llamaShape) weights() int64 {
	w, f, k := int64(s.width), int64(s.ffn), int64(s.kv*s.width/s.heads)
	q4 := int64(s.vocab)*w + int64(s.layers)*(2*w*w+2*w*k+3*w*f)
	return q4/256*144 + int64(s.vocab)*w/256*210 + 4*w*int64(2*s.layers+1)
}

// trainable is rank·(in + out) of each matrix.
func (s llamaShape) trainable(rank int) int64 {
	w, f, k := s.width, s.ffn, s.kv*s.width/s.heads
	return int64(rank * s.layers * (2*(w+w) + 2*(w+k) + 3*(w+f)))
}

// activations by DESIGN.md: 2E + 2HD + 2GD + 2F + H + 7R floats a token and
// layer, of which E, the inputs of the layers, stay when layers are recomputed.
func (s llamaShape) activations(rank, tokens, kept int) int64 {
	k := s.kv * s.width / s.heads
	layer := s.width + 2*s.width + 2*k + 2*s.ffn + s.heads + 7*rank
	inputs := (s.layers + 2) * s.width // with the last output and its gradient
	return 4 * int64(tokens) * int64(inputs+min(s.layers, kept+1)*layer)
}

var (
	llama7B  = llamaShape{32, 4096, 32, 32, 11008, 32000}
	llama70B = llamaShape{80, 8192, 64, 8, 28672, 128256}
)

func TestPlanOfHeaders(t *testing.T) {
	for name, s := range map[string]llamaShape{"7B": llama7B, "70B": llama70B} {
		path := s.header(t)
		for _, c := range []struct {
			rank, row int
			recompute bool
		}{{16, 1024, false}, {8, 4096, true}} {
			p, err := model.Plan(path, model.Config{Rank: c.rank, Threads: 8, Recompute: c.recompute}, c.row)
			if err != nil {
				t.Fatal(err)
			}
			kept := s.layers
			if c.recompute {
				kept = 0
			}
			if n := s.trainable(c.rank); p.Trainable != n || p.Adapter != 4*n || p.Gradients != 4*n || p.Optimiser != 8*n || p.BestAdapter != 4*n {
				t.Errorf("%s: %d trained values, want %d: %+v", name, p.Trainable, n, p)
			}
			if want := s.weights(); p.Weights != want {
				t.Errorf("%s: weights of %d bytes, want %d", name, p.Weights, want)
			}
			if p.KeptLayers != kept || p.Layers != s.layers || p.RowTokens != c.row || p.Threads != 8 {
				t.Errorf("%s: %+v", name, p)
			}
			// The rope table and starts of segments come on top.
			want := s.activations(c.rank, c.row, kept)
			if extra := p.Activations - want; extra < 0 || extra > int64(c.row)*4*(256+8)+int64(s.layers)<<12 {
				t.Errorf("%s: activations of %d bytes, by hand %d", name, p.Activations, want)
			}
			// 64 MiB of logits, or a layer's act, its gradient, three packed operands and such.
			if p.Work < 64<<20 || p.Work > 4*int64(c.row)*int64(8*s.ffn+10*s.width)+(64<<20) || p.Scratch < 1<<20 || p.Scratch > 1<<30 || p.Runtime > 100<<20 {
				t.Errorf("%s: work %d, scratch %d, runtime %d", name, p.Work, p.Scratch, p.Runtime)
			}
			t.Logf("%s rank %d row %d: total %d MB: %+v", name, c.rank, c.row, p.Total()/1e6, p)
		}
	}
}

// What is planned is what is then used: the arenas and the scratch of the
// threads, to the byte, for any number of threads and each kind of kernels.
func TestPlanIsUse(t *testing.T) {
	path := tiny(t, func(c *tinygguf.Config) { c.Layers = 5; c.HeadDim = 16 })
	for _, cfg := range []model.Config{{}, {Threads: 1}, {Threads: 7}, {Recompute: true}, {Naive: true}, {Precision: model.Float32}, {Precision: model.Precisions()[0]}, {Targets: []string{"attn_q"}}} {
		if cfg.Rank == 0 {
			cfg.Rank = 4
		}
		cfg.Device = model.OnCPU
		before := native.Mapped()
		plan, err := model.Plan(path, cfg, 300)
		if err != nil {
			t.Fatal(err)
		}
		if native.Mapped() != before {
			t.Errorf("a plan maps %d bytes", native.Mapped()-before)
		}
		m := openBest(t, path, cfg)
		again, err := m.Plan(model.Full(300))
		if err != nil || again != plan {
			t.Errorf("the open model plans %+v, %v; its header %+v", again, err, plan)
		}
		n := int64(0)
		for _, p := range m.Params() {
			n += 4 * int64(p.Len())
		}
		if plan.Adapter != n || plan.Gradients != n || plan.Optimiser != 2*n || plan.Trainable*4 != n {
			t.Errorf("%d bytes of params: %+v", n, plan)
		}
		fixed := native.Mapped()
		b := packed(m.Info().Vocab, 1, 300)
		for i := range b.Targets {
			b.Targets[i] = 1
		}
		backward(t, m, b, 1)
		if used := native.Mapped() - fixed; used < plan.Activations+plan.Work || used > plan.Activations+plan.Work+4096 {
			t.Errorf("%+v: the arena has %d bytes, planned %d", cfg, used, plan.Activations+plan.Work)
		}
		if used := m.Scratch(); used != plan.Scratch {
			t.Errorf("%+v: scratch of %d bytes, planned %d", cfg, used, plan.Scratch)
		}
		if plan.Total() != plan.Weights+2*n+2*n+n+plan.Activations+plan.Work+plan.Scratch+plan.Runtime+plan.Vocabulary {
			t.Errorf("total %d of %+v", plan.Total(), plan)
		}
	}
}

func TestPlanLimit(t *testing.T) {
	path := llama7B.header(t)
	plan := func(c model.Config, row int) model.MemoryPlan {
		t.Helper()
		c.Rank = 16
		p, err := model.Plan(path, c, row)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	all, none := plan(model.Config{}, 1024), plan(model.Config{Recompute: true}, 1024)
	limit := (all.Activations + all.Work + none.Activations + none.Work) / 2
	half := plan(model.Config{MemoryLimit: limit}, 1024)
	if half.KeptLayers < 10 || half.KeptLayers > 22 || half.Activations+half.Work > limit {
		t.Errorf("%d of 32 layers are kept in the middle between all and none: %+v", half.KeptLayers, half)
	}
	if _, err := model.Plan(path, model.Config{Rank: 16, MemoryLimit: 1 << 20}, 1024); err == nil || !strings.Contains(err.Error(), "1024 tokens") {
		t.Errorf("a limit of 1 MiB: %v", err)
	}
	for _, bad := range []int{0, -1, 1 << 31} {
		if _, err := model.Plan(path, model.Config{Rank: 16}, bad); err == nil {
			t.Errorf("a row of %d tokens", bad)
		}
	}
	if _, err := model.Open(path, model.Config{Rank: 16}); err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("Open of a header: %v", err)
	}
	if _, err := model.Plan(path, model.Config{}, 10); err == nil || !strings.Contains(err.Error(), "rank 0") {
		t.Errorf("no rank: %v", err)
	}
	if _, err := model.Plan(edited(t, tinygguf.Default(), drop("output_norm.weight")), model.Config{Rank: 4}, 10); err == nil || !strings.Contains(err.Error(), "output_norm") {
		t.Errorf("a missing tensor: %v", err)
	}
}

// A copy in a smaller type: matrices change, norms do not.
func TestPlanAs(t *testing.T) {
	path := llama7B.header(t)
	pl, err := model.OpenPlanner(path)
	if err != nil {
		t.Fatal(err)
	}
	small, err := pl.As(gguf.Q2_K)
	if err != nil {
		t.Fatal(err)
	}
	was, err := pl.Plan(model.Config{Rank: 16}, model.Full(512))
	if err != nil {
		t.Fatal(err)
	}
	now, err := small.Plan(model.Config{Rank: 16}, model.Full(512))
	if err != nil {
		t.Fatal(err)
	}
	s, w := llama7B, int64(llama7B.width)
	matrices := 2*int64(s.vocab)*w + int64(s.layers)*(4*w*w+3*w*int64(s.ffn))
	if want := matrices/256*84 + 4*w*int64(2*s.layers+1); now.Weights != want || now.Activations != was.Activations || was.Weights != s.weights() {
		t.Errorf("a Q2_K copy has %d bytes, want %d; the model %d", now.Weights, want, was.Weights)
	}
	for _, typ := range []gguf.Type{gguf.Q8_0, 99} {
		if _, err := pl.As(typ); err == nil {
			t.Errorf("a copy in %s", typ)
		}
	}
	if pl.Context() != 8192 {
		t.Errorf("context of %d", pl.Context())
	}
}

// The same for every architecture, from a file that is cut after its header.
// Of experts the plan takes one that all tokens use; some then need less scratch.
func TestPlanOfArchitectures(t *testing.T) {
	for _, v := range architectures {
		t.Run(v.name, func(t *testing.T) {
			path := v.write(t)
			f, err := gguf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cut := filepath.Join(t.TempDir(), "cut.gguf")
			if err := os.WriteFile(cut, whole[:f.HeaderBytes], 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := model.Config{Rank: 4, Threads: 2, Device: model.OnCPU}
			plan, err := model.Plan(cut, cfg, 200)
			if err != nil {
				t.Fatal(err)
			}
			m := openBest(t, path, cfg)
			fixed := native.Mapped()
			b := packed(m.Info().Vocab, 1, 200)
			for i := range b.Targets {
				b.Targets[i] = 1
			}
			backward(t, m, b, 1)
			used, scratch := native.Mapped()-fixed-plan.Activations-plan.Work, m.Scratch()
			experts := strings.Contains(v.name, "experts") || strings.Contains(v.name, "moe")
			if used < 0 || used > 4096 || scratch > plan.Scratch || !experts && scratch < plan.Scratch || plan.Trainable != m.Info().Trainable || plan.Weights != m.Info().WeightBytes {
				t.Errorf("arena %+d bytes, scratch %d, %d trained, weights %d; planned %+v", used, scratch, m.Info().Trainable, m.Info().WeightBytes, plan)
			}
		})
	}
}
