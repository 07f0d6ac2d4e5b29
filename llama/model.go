package llama

import (
	"fmt"
	"runtime"

	"cloister/llama/gguf"
	"cloister/llama/internal/capi"
)

// Model is a loaded GGUF model, mapped into memory and shared by its contexts.
type Model struct {
	*Vocab
}

// Open maps a GGUF model, named as for gguf.Open. Pages are read as they are
// used. No device is used.
func Open(path string) (*Model, error) { return OpenOn(path, Placement{}) }

// OpenOn is Open with layers on devices, to which their weights are copied.
func OpenOn(path string, p Placement) (*Model, error) {
	m, err := loadModel(path, false, capi.Offload(p))
	if err != nil {
		return nil, err
	}
	v, err := newVocab(m)
	if err != nil {
		m.Free()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Model{v}, nil
}

// Architecture is general.architecture, such as "llama".
func (m *Model) Architecture() string {
	a, _ := m.m.Meta("general.architecture")
	return a
}

// Description is llama.cpp's own, such as "llama 135M Q4_1".
func (m *Model) Description() string { return m.m.Desc() }

// Parameters is the number of weights.
func (m *Model) Parameters() int64 { return m.m.NParams() }

// SizeBytes is the size of all tensors.
func (m *Model) SizeBytes() int64 { return m.m.Size() }

// Adapter is a LoRA adapter for one Model.
type Adapter struct{ a *capi.Adapter }

// LoadAdapter reads a GGUF adapter that was trained on this model, named as for
// gguf.Open.
func (m *Model) LoadAdapter(path string) (*Adapter, error) {
	r := gguf.ParseRegion(path)
	a, err := m.m.LoadAdapter(r.Path, r.Offset)
	if err != nil {
		return nil, fmt.Errorf("cannot load the adapter %s: %w", path, err)
	}
	return &Adapter{a}, nil
}

// Close frees the adapter. No context may have it set.
func (a *Adapter) Close() { a.a.Free() }

// Logits returns the logits of every position, [len(tokens)][vocabulary], with
// the adapter applied if it is not nil. It is for comparisons: it makes an
// exact context for the one call.
func (m *Model) Logits(tokens []int32, adapter *Adapter) ([][]float32, error) {
	c, err := m.NewContext(ContextOptions{Tokens: len(tokens), Batch: len(tokens), Exact: true})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetAdapter(adapter); err != nil {
		return nil, err
	}
	for i, t := range tokens {
		c.Add(t, i, 0, true)
	}
	if err := c.Decode(); err != nil {
		return nil, err
	}
	out := make([][]float32, len(tokens))
	for i := range out {
		out[i] = append([]float32(nil), c.Logits(i)...)
	}
	return out, nil
}

// ContextOptions sizes a Context.
type ContextOptions struct {
	Tokens    int // tokens of one sequence; 0: what the model was trained with
	Sequences int // sequences side by side; 0: 1
	Batch     int // most tokens in one Decode; 0: 512
	Threads   int // 0: all cores
	// Exact keeps keys and values in float32, which are F16 otherwise, and takes
	// the plain form of attention: for comparisons.
	Exact bool
}

// size fills in the defaults; Tokens is set.
func (o ContextOptions) size() capi.Size {
	s := capi.Size{Sequences: max(o.Sequences, 1), Batch: o.Batch, Threads: o.Threads, Exact: o.Exact}
	if s.Batch == 0 {
		s.Batch = 512
	}
	if s.Threads == 0 {
		s.Threads = runtime.NumCPU()
	}
	s.Tokens = o.Tokens * s.Sequences
	return s
}

// Context holds the key-value cache of some sequences and one batch of tokens.
// One goroutine at a time may use it.
type Context struct {
	c       *capi.Context
	m       *Model
	adapter *Adapter
}

// NewContext makes a context. Close it before the model.
func (m *Model) NewContext(o ContextOptions) (*Context, error) {
	if o.Tokens == 0 {
		o.Tokens = m.TrainContext()
	}
	size := o.size()
	c, err := m.m.NewContext(size)
	if err != nil {
		return nil, fmt.Errorf("cannot make a context of %d × %d tokens: %w", size.Sequences, o.Tokens, err)
	}
	return &Context{c: c, m: m}, nil
}

// Close frees the context.
func (c *Context) Close() { c.c.Free() }

// SequenceTokens is the number of tokens that one sequence can hold.
func (c *Context) SequenceTokens() int { return c.c.NCtxSeq() }

// SetAdapter applies the adapter to the Decodes that follow; nil takes it off.
func (c *Context) SetAdapter(a *Adapter) error {
	if a == c.adapter {
		return nil
	}
	var native *capi.Adapter
	if a != nil {
		native = a.a
	}
	if err := c.c.SetAdapter(native); err != nil {
		return err
	}
	c.adapter = a
	return nil
}

// Add puts a token at a position of a sequence into the batch and returns its
// index there. logits asks for its logits.
func (c *Context) Add(tok int32, pos, seq int, logits bool) int {
	return c.c.BatchAdd(tok, int32(pos), seq, logits)
}

// Len is the number of tokens in the batch.
func (c *Context) Len() int { return c.c.BatchLen() }

// Clear empties the batch.
func (c *Context) Clear() { c.c.BatchClear() }

// ErrFatal is wrapped in errors of Decode after which the context is not to be
// trusted: a device failed.
var ErrFatal = capi.ErrFatal

// Decode runs the model on the batch. Logits are those of this batch until the
// next Decode.
func (c *Context) Decode() error { return c.c.Decode() }

// Logits returns the row for an index that Add returned, one value for each
// token of the vocabulary, valid until the next Decode.
func (c *Context) Logits(i int) []float32 { return c.c.LogitsIth(i) }

// Truncate forgets the tokens of a sequence from position pos on. Where the
// model's memory cannot be cut, it forgets the whole sequence and returns false.
func (c *Context) Truncate(seq, pos int) bool {
	if c.c.MemorySeqRm(seq, pos) {
		return true
	}
	c.c.MemorySeqRm(seq, 0)
	return false
}
