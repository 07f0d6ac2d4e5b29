package ref

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"cloister/llama/gguf"
)

// Targets are the matrices of a layer that an adapter may change, in the order
// of Params.
var Targets = []string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}

// Config of the adapters.
type Config struct {
	Rank    int
	Alpha   float64  // the adapters' scale is Alpha/Rank
	Targets []string // nil: all
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

	embed  []float32 // [V × E]
	layers []*layer
	norm   []float32 // [E]
	output *linear   // [V × E]
	eps    float64
	freqs  []float64 // [D/2], radians a position
	params []*Param
}

type layer struct {
	attnNorm, ffnNorm        []float32 // [E]
	q, k, v, o, gate, up, fd *linear
}

// reader takes tensors out of a file and remembers the first error and which
// tensors were used.
type reader struct {
	f    *gguf.File
	used map[string]bool
	err  error
}

// Open reads a GGUF model of architecture llama into memory, dequantised.
func Open(path string, cfg Config) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if a, _ := f.String("general.architecture"); a != "llama" {
		return nil, fmt.Errorf("the reference knows the architecture llama, not %q", a)
	}
	r := &reader{f: f, used: map[string]bool{}}
	m := &Model{}
	if err := m.readShape(f); err != nil {
		return nil, err
	}
	m.readTensors(r)
	if r.err == nil {
		r.err = m.rope(r)
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

func (m *Model) readShape(f *gguf.File) error {
	number := func(key string) int { n, _ := f.Uint("llama." + key); return int(n) }
	m.Embedding, m.FFN = number("embedding_length"), number("feed_forward_length")
	m.Heads, m.KVHeads = number("attention.head_count"), number("attention.head_count_kv")
	m.layers = make([]*layer, number("block_count"))
	m.eps, _ = f.Float("llama.attention.layer_norm_rms_epsilon")
	if m.KVHeads == 0 {
		m.KVHeads = m.Heads
	}
	if m.Heads == 0 || m.Embedding == 0 || m.Heads%m.KVHeads != 0 {
		return errors.New("the metadata does not describe a llama model")
	}
	m.HeadDim = m.Embedding / m.Heads
	if d := number("attention.key_length"); d > 0 {
		m.HeadDim = d
	}
	return nil
}

func (m *Model) readTensors(r *reader) {
	e, q, kv := m.Embedding, m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	if t, ok := r.f.Tensor("token_embd.weight"); ok && len(t.Dims) == 2 {
		m.Vocab = int(t.Dims[1])
	}
	m.embed = r.tensor("token_embd.weight", e, m.Vocab)
	for i := range m.layers {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s.weight", i, s) }
		matrix := func(s string, in, out int) *linear {
			return &linear{name: name(s), in: in, out: out, w: r.tensor(name(s), in, out)}
		}
		m.layers[i] = &layer{
			attnNorm: r.tensor(name("attn_norm"), e), ffnNorm: r.tensor(name("ffn_norm"), e),
			q: matrix("attn_q", e, q), k: matrix("attn_k", e, kv), v: matrix("attn_v", e, kv), o: matrix("attn_output", q, e),
			gate: matrix("ffn_gate", e, m.FFN), up: matrix("ffn_up", e, m.FFN), fd: matrix("ffn_down", m.FFN, e),
		}
	}
	m.norm = r.tensor("output_norm.weight", e)
	m.output = &linear{name: "output.weight", in: e, out: m.Vocab, w: m.embed}
	if _, ok := r.f.Tensor("output.weight"); ok {
		m.output.w = r.tensor("output.weight", e, m.Vocab)
	}
}

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

// rope computes the angle of one position for each pair of a head:
// base^(-2i/D), divided by the factors of rope_freqs (Llama 3) and by the
// factor of linear scaling where the file has them.
func (m *Model) rope(r *reader) error {
	base, ok := r.f.Float("llama.rope.freq_base")
	if !ok {
		base = 10000
	}
	if n, ok := r.f.Uint("llama.rope.dimension_count"); ok && int(n) != m.HeadDim {
		return fmt.Errorf("rotary positions on %d of %d dimensions are not supported", n, m.HeadDim)
	}
	factor := 1.0
	switch kind, _ := r.f.String("llama.rope.scaling.type"); kind {
	case "", "none":
	case "linear":
		factor, _ = r.f.Float("llama.rope.scaling.factor")
	default:
		return fmt.Errorf("rope scaling %q is not supported", kind)
	}
	m.freqs = make([]float64, m.HeadDim/2)
	for i := range m.freqs {
		m.freqs[i] = math.Pow(base, -2*float64(i)/float64(m.HeadDim)) / factor
	}
	if _, ok := r.f.Tensor("rope_freqs.weight"); ok {
		for i, f := range r.tensor("rope_freqs.weight", m.HeadDim/2) {
			m.freqs[i] /= float64(f)
		}
	}
	return r.err
}

// adapt puts adapters on the targets: A uniform in ±1/√in, B zero.
func (m *Model) adapt(cfg Config) error {
	if cfg.Rank == 0 {
		return nil
	}
	targets := cfg.Targets
	if targets == nil {
		targets = Targets
	}
	for _, t := range targets {
		if !slices.Contains(Targets, t) {
			return fmt.Errorf("%q is no target; those are %s", t, strings.Join(Targets, ", "))
		}
	}
	random := rand.New(rand.NewPCG(uint64(cfg.Seed), 0))
	for _, l := range m.layers {
		for i, lin := range []*linear{l.q, l.k, l.v, l.o, l.gate, l.up, l.fd} {
			if !slices.Contains(targets, Targets[i]) {
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
