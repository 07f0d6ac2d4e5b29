package ref

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"cloister/llama/gguf"
)

// Targets are the matrices of a layer that an adapter may change, in the order
// of Params; a model has some of them.
var Targets = []string{"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}

// Config of the adapters.
type Config struct {
	Rank    int
	Alpha   float64  // the adapters' scale is Alpha/Rank
	Targets []string // nil: all that the model has
	Seed    int64    // of A; B is zero
}

// Param is one matrix of an adapter with its gradient, [Rows × Cols].
type Param struct {
	Name       string // such as "blk.0.attn_q.weight.lora_a"
	Rows, Cols int
	Data, Grad []float64
}

// Model is a model with adapters.
type Model struct {
	Embedding, Heads, KVHeads, HeadDim, FFN, Vocab int

	arch          string
	window        int // keys that layers with a window see
	experts, used int // in a layer, and by a token
	scale         float64
	cap           float64   // of the logits; 0: none
	embed         []float32 // [V × E]
	layers        []*layer
	norm          []float32 // [E]
	output        *linear   // [V × E]
	eps           float64
	params        []*Param
}

// layer has what its architecture has; the rest is nil.
type layer struct {
	attnNorm, ffnNorm, attnPost, ffnPost []float32 // [E]
	qNorm, kNorm                         []float32 // [D]
	q, k, v, qkv, o, gate, up, fd        *linear   // up of phi3 holds the gate as well
	router                               *linear
	expertGate, expertUp, expertDown     []*linear
	window                               int // 0: none
	rope                                 *rope
}

// reader takes tensors out of a file and remembers the first error and which
// tensors were used.
type reader struct {
	f    *gguf.File
	used map[string]bool
	err  error
}

// Open reads a GGUF model into memory, dequantised.
func Open(path string, cfg Config) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := []string{"llama", "qwen2", "qwen3", "gemma3", "phi3", "qwen3moe"}
	m := &Model{}
	if m.arch, _ = f.String("general.architecture"); !slices.Contains(known, m.arch) {
		return nil, fmt.Errorf("the reference knows the architectures %s, not %q", strings.Join(known, ", "), m.arch)
	}
	r := &reader{f: f, used: map[string]bool{}}
	if err := m.readShape(f); err != nil {
		return nil, err
	}
	m.readTensors(r)
	if r.err == nil {
		r.err = m.readRope(r)
	}
	if r.err != nil {
		return nil, r.err
	}
	for i := range f.Tensors {
		if name := f.Tensors[i].Name; !r.used[name] {
			return nil, fmt.Errorf("the reference has no use for the tensor %s, so its result would be wrong", name)
		}
	}
	return m, m.adapt(cfg)
}

func (m *Model) is(architectures ...string) bool { return slices.Contains(architectures, m.arch) }

func (m *Model) readShape(f *gguf.File) error {
	number := func(key string) int { n, _ := f.Uint(m.arch + "." + key); return int(n) }
	m.Embedding, m.FFN = number("embedding_length"), number("feed_forward_length")
	m.Heads, m.KVHeads = number("attention.head_count"), number("attention.head_count_kv")
	m.layers = make([]*layer, number("block_count"))
	m.eps, _ = f.Float(m.arch + ".attention.layer_norm_rms_epsilon")
	if m.KVHeads == 0 {
		m.KVHeads = m.Heads
	}
	if m.Heads == 0 || m.Embedding == 0 || m.Heads%m.KVHeads != 0 {
		return fmt.Errorf("the metadata does not describe a %s model", m.arch)
	}
	m.HeadDim = m.Embedding / m.Heads
	if d := number("attention.key_length"); d > 0 {
		m.HeadDim = d
	}
	m.scale = 1 / math.Sqrt(float64(m.HeadDim))
	if m.is("gemma3") {
		m.window = number("attention.sliding_window")
		m.cap, _ = f.Float("gemma3.final_logit_softcapping")
		if len(m.layers) == 62 { // the 27B model
			m.scale = 1 / math.Sqrt(float64(m.Embedding/m.Heads))
		}
	}
	if m.experts = number("expert_count"); m.experts > 0 {
		m.used = number("expert_used_count")
		if n := number("expert_feed_forward_length"); n > 0 {
			m.FFN = n
		}
	}
	return nil
}

// windowed says whether layer i has a window: by a list, or all layers but the last of each n.
func (m *Model) windowed(f *gguf.File, i int) bool {
	v, _ := f.Value(m.arch + ".attention.sliding_window_pattern")
	if list, ok := v.([]bool); ok {
		return list[i]
	}
	n, ok := v.(uint32)
	if !ok {
		n = 6
	}
	return (i+1)%int(n) != 0
}

func (m *Model) readTensors(r *reader) {
	e := m.Embedding
	if t, ok := r.f.Tensor("token_embd.weight"); ok && len(t.Dims) == 2 {
		m.Vocab = int(t.Dims[1])
	}
	m.embed = r.tensor("token_embd.weight", e, m.Vocab)
	for i := range m.layers {
		m.layers[i] = m.readLayer(r, i)
		if m.window > 0 && m.windowed(r.f, i) {
			m.layers[i].window = m.window
		}
	}
	m.norm = r.tensor("output_norm.weight", e)
	m.output = &linear{name: "output.weight", in: e, out: m.Vocab, w: m.embed}
	if _, ok := r.f.Tensor("output.weight"); ok {
		m.output.w = r.tensor("output.weight", e, m.Vocab)
	}
}

func (m *Model) readLayer(r *reader, i int) *layer {
	e, q, kv := m.Embedding, m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	name := func(s string) string { return fmt.Sprintf("blk.%d.%s.weight", i, s) }
	matrix := func(s string, in, out int) *linear {
		l := &linear{name: name(s), in: in, out: out, w: r.tensor(name(s), in, out)}
		if bias := fmt.Sprintf("blk.%d.%s.bias", i, s); r.has(bias) {
			l.bias = r.tensor(bias, out)
		}
		return l
	}
	stack := func(s string, in, out int) []*linear {
		all, list := r.tensor(name(s), in, out, m.experts), make([]*linear, m.experts)
		for x := range list {
			if all != nil {
				list[x] = &linear{in: in, out: out, w: all[x*in*out : (x+1)*in*out]}
			}
		}
		return list
	}
	l := &layer{attnNorm: r.tensor(name("attn_norm"), e), ffnNorm: r.tensor(name("ffn_norm"), e), o: matrix("attn_output", q, e)}
	if m.is("phi3") {
		l.qkv = matrix("attn_qkv", e, q+2*kv)
	} else {
		l.q, l.k, l.v = matrix("attn_q", e, q), matrix("attn_k", e, kv), matrix("attn_v", e, kv)
	}
	if m.is("qwen3", "qwen3moe", "gemma3") {
		l.qNorm, l.kNorm = r.tensor(name("attn_q_norm"), m.HeadDim), r.tensor(name("attn_k_norm"), m.HeadDim)
	}
	if m.is("gemma3") {
		l.attnPost, l.ffnPost = r.tensor(name("post_attention_norm"), e), r.tensor(name("post_ffw_norm"), e)
	}
	switch {
	case m.experts > 0:
		l.router = matrix("ffn_gate_inp", e, m.experts)
		l.expertGate, l.expertUp, l.expertDown = stack("ffn_gate_exps", e, m.FFN), stack("ffn_up_exps", e, m.FFN), stack("ffn_down_exps", m.FFN, e)
	case m.is("phi3"):
		l.up, l.fd = matrix("ffn_up", e, 2*m.FFN), matrix("ffn_down", m.FFN, e)
	default:
		l.gate, l.up, l.fd = matrix("ffn_gate", e, m.FFN), matrix("ffn_up", e, m.FFN), matrix("ffn_down", m.FFN, e)
	}
	return l
}

func (r *reader) has(name string) bool { _, ok := r.f.Tensor(name); return ok }

func (r *reader) tensor(name string, dims ...int) []float32 {
	if r.err != nil {
		return nil
	}
	t, ok := r.f.Tensor(name)
	if !ok {
		r.err = fmt.Errorf("the tensor %s is missing", name)
		return nil
	}
	got := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		got[i] = int(d)
	}
	if !slices.Equal(got, dims) {
		r.err = fmt.Errorf("the tensor %s has dimensions %v, expected %v", name, got, dims)
		return nil
	}
	var out []float32
	r.used[name] = true
	out, r.err = dequantise(t)
	return out
}

// adapt puts adapters on the targets: A uniform in ±1/√in, B zero.
func (m *Model) adapt(cfg Config) error {
	if cfg.Rank == 0 {
		return nil
	}
	for _, t := range cfg.Targets {
		if !slices.Contains(Targets, t) {
			return fmt.Errorf("%q is no target; those are %s", t, strings.Join(Targets, ", "))
		}
	}
	random := rand.New(rand.NewPCG(uint64(cfg.Seed), 0))
	for _, l := range m.layers {
		for i, lin := range []*linear{l.q, l.k, l.v, l.qkv, l.o, l.gate, l.up, l.fd} {
			if lin == nil || cfg.Targets != nil && !slices.Contains(cfg.Targets, Targets[i]) {
				continue
			}
			lin.rank, lin.scale = cfg.Rank, cfg.Alpha/float64(cfg.Rank)
			lin.a = newParam(lin.name+".lora_a", cfg.Rank, lin.in)
			lin.b = newParam(lin.name+".lora_b", lin.out, cfg.Rank)
			for j := range lin.a.Data {
				lin.a.Data[j] = (2*random.Float64() - 1) / math.Sqrt(float64(lin.in))
			}
			m.params = append(m.params, lin.a, lin.b)
		}
	}
	return nil
}

func newParam(name string, rows, cols int) *Param {
	return &Param{Name: name, Rows: rows, Cols: cols, Data: make([]float64, rows*cols), Grad: make([]float64, rows*cols)}
}

// Params are the adapters' matrices: layer by layer, target by target, A before B.
func (m *Model) Params() []*Param { return m.params }

// ZeroGrad sets all gradients to zero.
func (m *Model) ZeroGrad() {
	for _, p := range m.params {
		clear(p.Grad)
	}
}
