package model

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"unsafe"

	"cloister/llama/gguf"
	"cloister/lora/internal/native"
)

// ErrClosed is returned by every call on a closed Model.
var ErrClosed = errors.New("the model is closed")

// Model is an open base model with one trainable adapter.
type Model struct {
	cfg    Config
	scale  float32 // alpha / rank
	shape  *shape
	groups [groupCount]group
	info   Info
	w      *weights
	params []*Param
	all    adapter
	key    uint64 // of the noise; see Draw

	file   *gguf.File
	dev    device
	far    remote // dev, if it has memory of its own
	k      kernels
	frozen native.Arena // matrices of the base model, on a device that cannot read the mapped file
	fixed  native.Arena // adapter, gradients, moments and small vectors
	work   native.Arena // activations of the batch at hand
	// waiting is where inputs of layers wait on the host; see inputs.
	waiting native.Arena
	dry     bool // a plan: no tensor has data and nothing is computed
	prof    *profile
}

// Open maps the GGUF file at path and sets the adapter up: A uniform in
// ±1/sqrt(in) from cfg.Seed, B zero. An architecture that is not supported, a
// missing tensor and one of an odd shape are refused by name.
func Open(path string, cfg Config) (*Model, error) {
	m, err := newModel(cfg)
	if err != nil {
		return nil, err
	}
	if err := m.open(path); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot train on %s: %w", path, err), m.Close())
	}
	return m, nil
}

// newModel checks the settings.
func newModel(cfg Config) (*Model, error) {
	if cfg.Frozen {
		cfg.Rank, cfg.Alpha, cfg.Targets = 1, 1, nil
	}
	if cfg.Rank < 1 || cfg.Rank > 4096 {
		return nil, fmt.Errorf("adapter of rank %d; it must be 1 to 4096", cfg.Rank)
	}
	if cfg.Alpha == 0 {
		cfg.Alpha = float32(cfg.Rank)
	}
	if !(cfg.Alpha > 0) || math.IsInf(float64(cfg.Alpha), 0) {
		return nil, fmt.Errorf("alpha is %g; it must be positive", cfg.Alpha)
	}
	if err := CheckDevice(cfg.Device); err != nil {
		return nil, err
	}
	if !(cfg.Dropout >= 0 && cfg.Dropout < 1) {
		return nil, fmt.Errorf("dropout is %g; it must be at least 0 and below 1", cfg.Dropout)
	}
	return &Model{cfg: cfg, scale: cfg.Alpha / float32(cfg.Rank)}, nil
}

func (m *Model) open(path string) error {
	var err error
	if m.file, err = gguf.Open(path); err != nil {
		return err
	}
	if err = m.use(openDevice(&m.cfg)); err != nil {
		return err
	}
	if m.cfg.Profile {
		m.prof = newProfile()
	}
	return m.load()
}

// load finds the weights and reserves the memory that lives as long as the model.
func (m *Model) load() error {
	l := &loader{f: m.file, seen: map[string]bool{}}
	if m.shape = l.shape(); l.err != nil {
		return l.err
	}
	m.groups = m.shape.family.groups()
	targets, err := m.shape.targets(m.cfg.Targets)
	if err != nil {
		return err
	}
	if m.cfg.Frozen {
		targets = nil
	}
	// Once to check and count, once more to fill.
	m.lay(l, targets)
	if l.err != nil || m.dry {
		return l.err
	}
	if err := errors.Join(m.frozen.Reserve(m.frozen.Peak()), m.fixed.Reserve(m.fixed.Peak())); err != nil {
		return err
	}
	if m.lay(l, targets); l.err != nil {
		return l.err
	}
	m.describe()
	return nil
}

// lay finds the weights and hands out the memory of everything that lives as long as the model.
func (m *Model) lay(l *loader, targets []slot) {
	keep := func(v native.Weight) native.Mat {
		dst := m.fixed.Mat(1, v.Cols)
		if dst.Data != nil && v.Data != nil {
			values := make([]float32, v.Cols)
			if err := errors.Join(native.Dequantize(v.Type, unsafe.Slice((*byte)(v.Data), v.RowBytes), values), m.dev.Upload(dst, values)); err != nil {
				l.fail("%w", err)
			}
		}
		return dst
	}
	l.dev, l.place, l.hostEmbedding = m.dev, m.place, m.cfg.HostEmbedding && m.remote()
	m.w = l.weights(m.shape, keep)
	if l.err != nil {
		return
	}
	m.params = nil
	m.all.on = m.far
	if err := m.all.begin(&m.fixed); err != nil {
		l.fail("the adapter: %w", err)
		return
	}
	for i := range m.w.layers {
		m.adapt(l, i, targets)
	}
	m.all.end(&m.fixed)
}

// adapt hands out the adapter of layer i. The A of matrices that read the same
// input stand below each other.
func (m *Model) adapt(l *loader, i int, targets []slot) {
	at, r := &m.w.layers[i], m.cfg.Rank
	for g := range m.groups {
		adapted := slices.DeleteFunc(slices.Clone(m.groups[g].slots), func(s slot) bool { return !slices.Contains(targets, s) })
		if len(adapted) == 0 {
			continue
		}
		in := at.linear[adapted[0]].w.Cols
		a := m.all.matrices(len(adapted)*r, in)
		at.a[g], at.da[g] = a[values], a[grads]
		for j, s := range adapted {
			lin := &at.linear[s]
			name := fmt.Sprintf("blk.%d.%s.weight.lora_", i, s)
			lin.adapted, lin.stream, lin.at = true, streamOf(name), j*r
			part, b := a.slab(j*r, (j+1)*r), m.all.matrices(lin.w.Rows, r)
			lin.a, lin.da, lin.b, lin.db = part[values], part[grads], b[values], b[grads]
			m.param(l, name+"a", part, func(values []float32) { fill(values, in, m.cfg.Seed, name) })
			m.param(l, name+"b", b, nil)
		}
	}
}

// param makes a matrix known. All begins with zeros, but for what start writes.
func (m *Model) param(l *loader, name string, x matrices, start func(values []float32)) {
	data := x[values]
	if data.Data == nil {
		return
	}
	on := func(x native.Mat) Tensor { return Tensor{mat: x, on: m.far} }
	p := &Param{Name: name, Rows: data.Rows, Cols: data.Cols, Data: on(data), Grad: on(x[grads]), Mean: on(x[means]), Square: on(x[squares]), of: &m.all}
	m.params = append(m.params, p)
	if start == nil {
		return
	}
	if err := p.Data.Edit(start); err != nil {
		l.fail("the adapter: %w", err)
	}
}

// fill draws A as PEFT does (kaiming_uniform with a = √5: bound 1/sqrt(in)).
// Each matrix has its own stream, so that other targets do not change it.
func fill(a []float32, in int, seed int64, name string) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(uint64(seed), h.Sum64()))
	bound := 1 / math.Sqrt(float64(in))
	for i := range a {
		a[i] = float32((2*rng.Float64() - 1) * bound)
	}
}

func (m *Model) describe() {
	s := m.shape
	m.info = Info{Architecture: s.architecture, Layers: s.layers, Embedding: s.width, Heads: s.heads, KVHeads: s.kvHeads,
		HeadDim: s.headDim, FeedForward: s.ffn, Vocab: s.vocab, Context: s.context}
	for i := range m.file.Tensors {
		m.info.Parameters += int64(m.file.Tensors[i].Elements())
		m.info.WeightBytes += int64(m.file.Tensors[i].Bytes())
	}
	m.info.Trainable = m.trainable()
}

// Close frees everything. Params must not be used afterwards. A second Close does nothing.
func (m *Model) Close() error {
	m.params, m.w = nil, nil
	m.work.Free()
	m.waiting.Free()
	m.fixed.Free()
	m.frozen.Free()
	if m.dev != nil {
		m.dev.Close()
		m.dev, m.far, m.k = nil, nil, nil
	}
	var err error
	if m.file != nil {
		err = m.file.Close()
		m.file = nil
	}
	return err
}

// Params are the adapter's matrices, layer by layer, target by target, A before B.
func (m *Model) Params() []*Param { return m.params }

// ZeroGrad sets every gradient to zero.
func (m *Model) ZeroGrad() error {
	if m.remote() && len(m.params) > 0 {
		return m.far.Zero(m.all.whole[grads])
	}
	for _, p := range m.params {
		if err := p.Grad.zero(); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// Info describes the base model.
func (m *Model) Info() Info { return m.info }

// Scale is alpha over rank.
func (m *Model) Scale() float32 { return m.scale }

// Kernels is the name of the set of kernels that run, such as "avx2", "amx" or "cuda".
func (m *Model) Kernels() string { return m.dev.Kernels() }
