package model_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// of is a change to a model of another architecture.
func of(architecture string, change func(*tinygguf.Config)) func(*tinygguf.Config) {
	return func(c *tinygguf.Config) {
		c.Architecture = architecture
		if change != nil {
			change(c)
		}
	}
}

func scaled(prefix, kind string, factor float32, original uint32) func([]gguf.KV, []gguf.Tensor) ([]gguf.KV, []gguf.Tensor) {
	return func(kv []gguf.KV, tensors []gguf.Tensor) ([]gguf.KV, []gguf.Tensor) {
		kv, tensors = set(prefix+".rope.scaling.type", kind)(kv, tensors)
		kv, tensors = set(prefix+".rope.scaling.original_context_length", original)(kv, tensors)
		return set(prefix+".rope.scaling.factor", factor)(kv, tensors)
	}
}

// gemma3 has layers with and without a window that is shorter than most segments.
func gemma3(c *tinygguf.Config) {
	c.Layers, c.HeadDim = 3, 16
	c.Window, c.WindowPattern, c.WindowRopeBase, c.RopeBase = 6, 2, 1000, 100000
}

// architectures is at least one variant of each that can be trained, with rows
// of some hundred tokens in mind: windows are shorter than that.
var architectures = []variant{
	{"llama, yarn", func(c *tinygguf.Config) { c.HeadDim = 32; c.Context = 256 }, scaled("llama", "yarn", 4, 64)},
	{"qwen2", of("qwen2", nil), nil},
	{"qwen2, heads of 16, tied", of("qwen2", func(c *tinygguf.Config) { c.Embedding, c.Tied = 64, true }), nil},
	{"qwen2, yarn", of("qwen2", func(c *tinygguf.Config) { c.Embedding = 64 }), scaled("qwen2", "yarn", 4, 64)},
	{"qwen3", of("qwen3", nil), nil},
	{"qwen3, heads of 16", of("qwen3", func(c *tinygguf.Config) { c.HeadDim, c.Tied = 16, true }), nil},
	{"gemma3", of("gemma3", gemma3), nil},
	{"gemma3, default pattern, cap", of("gemma3", func(c *tinygguf.Config) {
		gemma3(c)
		c.WindowPattern, c.Layers, c.SoftCap, c.Window, c.Tied = 0, 6, 3, 5, true
	}), nil},
	{"gemma3, scaled", of("gemma3", gemma3), scaled("gemma3", "linear", 8, 64)},
	{"gemma3, yarn", of("gemma3", gemma3), scaled("gemma3", "yarn", 8, 64)},
	{"gemma3, list of windows", of("gemma3", gemma3), set("gemma3.attention.sliding_window_pattern", []bool{false, true, true})},
	{"gemma3, no window", of("gemma3", nil), nil},
	{"phi3", of("phi3", nil), nil},
	{"phi3, short texts", of("phi3", func(c *tinygguf.Config) { c.Context, c.OriginalContext, c.Embedding = 512, 256, 64 }), nil},
	{"phi3, long texts", of("phi3", func(c *tinygguf.Config) { c.Context, c.OriginalContext = 512, 40 }), nil},
	{"phi3, part of a head turns", of("phi3", nil), set("phi3.rope.dimension_count", uint32(6))},
	{"phi3, window that llama.cpp ignores", of("phi3", func(c *tinygguf.Config) { c.Window = 7 }), nil},
	// With these seeds no token changes its experts within the steps of finite differences.
	{"llama, experts", func(c *tinygguf.Config) { c.Experts, c.ExpertsUsed, c.Seed = 4, 2, 2 }, nil},
	{"qwen3moe", of("qwen3moe", func(c *tinygguf.Config) { c.Experts, c.ExpertsUsed, c.Seed = 6, 2, 4 }), nil},
	{"qwen3moe, all experts", of("qwen3moe", func(c *tinygguf.Config) { c.Experts, c.ExpertsUsed, c.HeadDim, c.FFN = 3, 3, 16, 48 }), nil},
}

// Every architecture is among the variants, so each test below covers it.
func TestEveryArchitectureIsTested(t *testing.T) {
	for _, a := range model.Architectures() {
		if !slices.ContainsFunc(architectures, func(v variant) bool { return strings.HasPrefix(v.name, a) }) {
			t.Errorf("no variant of %s", a)
		}
	}
}

func TestArchitectureLogits(t *testing.T) {
	for _, v := range architectures {
		t.Run(v.name, func(t *testing.T) {
			path := v.write(t)
			m := open(t, path, model.Config{})
			m.HalfGELU()
			e := compareLogits(t, path, m, packed(m.Info().Vocab, 6, 100).Tokens)
			t.Logf("relative error %.2g", e)
			if !(e < 5e-5) { // gemma3: a value next to a step of the table
				t.Errorf("relative error %g", e)
			}
		})
	}
}

// llama.cpp knows the adapter's matrices by their names and computes the same with it.
func TestArchitectureAdapter(t *testing.T) {
	for _, v := range architectures {
		t.Run(v.name, func(t *testing.T) {
			path := v.write(t)
			m := open(t, path, model.Config{Rank: 4, Alpha: 8})
			randomB(m, 5)
			kv := []gguf.KV{
				{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: m.Info().Architecture},
				{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(8)},
			}
			var tensors []gguf.Tensor
			for _, p := range m.Params() {
				x := vector(p.Name, values(p.Data)...)
				x.Dims = []uint64{uint64(p.Cols), uint64(p.Rows)}
				tensors = append(tensors, x)
			}
			tokens := packed(m.Info().Vocab, 6, 50).Tokens
			adapter := writeModel(t, kv, tensors)
			with, without := compareAdapter(t, path, adapter, m, tokens), compareLogits(t, path, m, tokens)
			t.Logf("relative error %.2g; %.2g without the adapter", with, without)
			if !(with < 1e-3) || without < 0.1 {
				t.Errorf("relative error %g; %g without the adapter", with, without)
			}
		})
	}
}

// The 27B model of gemma3, which llama.cpp tells by its 62 layers, scales its scores otherwise.
func TestGemma3Scale(t *testing.T) {
	path := variant{change: of("gemma3", func(c *tinygguf.Config) { c.Layers, c.HeadDim, c.FFN = 62, 16, 32 })}.write(t)
	cfg := model.Config{Rank: 2, Alpha: 4, Targets: []string{"attn_q"}}
	if e := compareLogits(t, path, open(t, path, cfg), packed(288, 6, 40).Tokens); !(e < 1e-3) { // so many tables of GELU
		t.Errorf("relative error %g", e)
	}
	compareWithRef(t, path, cfg, func(*model.Model) *model.Batch { return packed(288, 8, 20) }, 3e-5)
}

// Loss and gradients against lora/ref: packed segments, and segments with a beginning in common.
func TestArchitectureReference(t *testing.T) {
	for _, v := range architectures {
		path := v.write(t)
		t.Run(v.name, func(t *testing.T) {
			compareWithRef(t, path, model.Config{Rank: 4, Alpha: 8}, func(m *model.Model) *model.Batch {
				return packed(m.Info().Vocab, 8, 30, 1, 70)
			}, 3e-5)
		})
		t.Run(v.name+", shared beginning", func(t *testing.T) {
			compareWithRef(t, path, model.Config{Rank: 4, Alpha: 8}, func(m *model.Model) *model.Batch {
				return prompted(m.Info().Vocab, 12, 20, 16, 60)
			}, 3e-5)
		})
	}
}

// The same on quantised weights, whose rows are cut into outputs and experts by bytes.
func TestArchitectureQuantised(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.Q8_0, gguf.Q4_1, gguf.Q4_K} {
		for _, v := range []variant{
			{change: of("phi3", nil)}, {change: of("gemma3", gemma3)}, {change: of("qwen3moe", func(c *tinygguf.Config) { c.Experts, c.ExpertsUsed = 6, 2 })},
		} {
			change := v.change
			v.change = func(c *tinygguf.Config) {
				c.Type, c.Embedding, c.FFN = typ, max(64, typ.BlockSize()), max(64, typ.BlockSize())
				change(c)
				c.HeadDim = c.Embedding / c.Heads
			}
			t.Run(typ.String(), func(t *testing.T) {
				path, cfg := v.write(t), model.Config{Rank: 4, Alpha: 8}
				b := func(m *model.Model) *model.Batch { return packed(m.Info().Vocab, 8, 20, 1, 30) }
				grads := compareWithRef(t, path, cfg, b, 3e-5)
				m := openBest(t, path, cfg)
				randomB(m, 5)
				backward(t, m, b(m), 0.5)
				bf16Floor(t, m, grads)
			})
		}
	}
}

// Gradients against differences of the loss, for all matrices and for single
// ones, where the backward pass ends early.
func TestArchitectureGradients(t *testing.T) {
	for _, v := range architectures {
		path := v.write(t)
		all := open(t, path, model.Config{})
		cases := map[string]model.Config{"all": {}, "recomputed": {Recompute: true}, "plain C": {Naive: true}}
		for i, p := range all.Params() {
			if name := strings.Split(p.Name, ".")[2]; i%2 == 0 && strings.HasPrefix(p.Name, "blk.0.") {
				cases[name] = model.Config{Targets: []string{name}}
			}
		}
		for name, cfg := range cases {
			t.Run(v.name+", "+name, func(t *testing.T) {
				m := open(t, path, cfg)
				randomB(m, 5)
				finiteDifferences(t, m, packed(m.Info().Vocab, 2, 7, 1, 12))
			})
		}
	}
}

// Computing a common beginning once changes nothing, whether a window reaches it or not.
func TestArchitectureSharedBeginning(t *testing.T) {
	for _, v := range architectures {
		t.Run(v.name, func(t *testing.T) {
			path := v.write(t)
			shared, separate := open(t, path, model.Config{}), open(t, path, model.Config{SeparatePrefixes: true})
			randomB(shared, 5)
			randomB(separate, 5)
			for _, lengths := range [][]int{{9, 10, 11}, {40, 30, 25}} {
				b := prompted(288, 8, lengths...)
				shared.ZeroGrad()
				separate.ZeroGrad()
				l0, l1 := backward(t, separate, b, 0.5), backward(t, shared, b, 0.5)
				if d := distance(gradients(shared), gradients(separate)); math.Abs(l0.Sum-l1.Sum) > 1e-6*l0.Sum || !(d < 1e-5) {
					t.Errorf("segments of %v: shared %v, separate %v, gradients differ by %g", lengths, l1, l0, d)
				}
			}
		})
	}
}

// What is kept or computed again, and how many threads compute, changes no
// byte, and the memory is at most what was planned.
func TestArchitectureDeterministic(t *testing.T) {
	for _, v := range architectures {
		t.Run(v.name, func(t *testing.T) {
			path := v.write(t)
			var want [][]float32
			for _, cfg := range []model.Config{{Threads: 1}, {Threads: 3}, {Recompute: true}} {
				m := openBest(t, path, cfg)
				randomB(m, 5)
				b := packed(m.Info().Vocab, 2, 50, 33)
				before := native.Mapped()
				l := backward(t, m, b, 1)
				if used, planned := native.Mapped()-before, m.MemoryFor(83); testDevice() == "" && (used == 0 || used > planned) {
					t.Errorf("%+v: %d bytes mapped, %d planned", cfg, used, planned)
				}
				if f := loss(t, m, b); f != l {
					t.Errorf("%+v: forward alone says %v, forward and backward %v", cfg, f, l)
				}
				if want == nil {
					want = gradients(m)
				}
				if got := gradients(m); !same(got, want) {
					t.Errorf("%+v: gradients differ by %g from one thread's", cfg, distance(got, want))
				}
			}
		})
	}
}

// Names of targets are the architecture's own; the others are refused with those that it has.
func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		architecture string
		targets      []string
		want         string // of layer 0, or of the error
	}{
		{"llama", []string{"all-linear"}, "attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down"},
		{"llama", []string{"attention", "ffn_up"}, "attn_q attn_k attn_v attn_output ffn_up"},
		{"qwen2", nil, "attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down"},
		{"qwen3", []string{"ffn_down", "attention"}, "attn_q attn_k attn_v attn_output ffn_down"},
		{"gemma3", []string{"all-linear", "attn_q"}, "attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down"},
		{"phi3", nil, "attn_qkv attn_output ffn_up ffn_down"},
		{"phi3", []string{"attention"}, "attn_qkv attn_output"},
		{"phi3", []string{"ffn_gate"}, `no matrix "ffn_gate" to adapt in a model of architecture "phi3"; choose from attn_qkv attn_output ffn_up ffn_down, or all-linear or attention`},
		{"qwen3moe", []string{"all-linear"}, "attn_q attn_k attn_v attn_output"},
		{"qwen3moe", []string{"attn_v", "ffn_up"}, `no matrix "ffn_up" to adapt in a model of architecture "qwen3moe"; choose from attn_q attn_k attn_v attn_output, or all-linear or attention`},
		{"llama", []string{"attn_qkv"}, `no matrix "attn_qkv" to adapt in a model of architecture "llama"; choose from attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down, or all-linear or attention`},
	} {
		t.Run(fmt.Sprint(tt.architecture, tt.targets), func(t *testing.T) {
			path := variant{change: of(tt.architecture, func(c *tinygguf.Config) {
				if tt.architecture == "qwen3moe" {
					c.Experts, c.ExpertsUsed = 4, 2
				}
			})}.write(t)
			f, err := gguf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			names, err := model.TargetsOf(f, tt.targets)
			if got := strings.Join(names, " "); err == nil && got != tt.want || err != nil && err.Error() != tt.want {
				t.Errorf("TargetsOf: %q, %v; want %q", got, err, tt.want)
			}
			m, openErr := model.Open(path, model.Config{Rank: 1, Targets: tt.targets})
			if openErr != nil {
				if err == nil || !strings.Contains(openErr.Error(), tt.want) {
					t.Errorf("Open: %v", openErr)
				}
				return
			}
			defer m.Close()
			for i, p := range m.Params()[:2*len(names)] {
				if want := fmt.Sprintf("blk.0.%s.weight.lora_%c", names[i/2], "ab"[i%2]); p.Name != want {
					t.Errorf("parameter %d is %s, want %s", i, p.Name, want)
				}
			}
		})
	}
}
