package model

import "errors"

// Model is an open base model with one trainable adapter.
type Model struct{}

var errUnfinished = errors.New("lora/model: not finished yet")

// Open maps the GGUF file at path and sets the adapter up: A uniform in
// ±1/sqrt(in) from cfg.Seed, B zero. An architecture that is not supported, a
// missing tensor and one of an odd shape are refused by name.
func Open(path string, cfg Config) (*Model, error) { return nil, errUnfinished }

// Close frees everything. Params must not be used afterwards.
func (m *Model) Close() error { return nil }

// Params are the adapter's matrices, layer by layer, target by target, A before B.
func (m *Model) Params() []*Param { return nil }

// ZeroGrad sets every gradient to zero.
func (m *Model) ZeroGrad() {}

// Loss is the forward pass alone.
func (m *Model) Loss(b *Batch) (Loss, error) { return Loss{}, errUnfinished }

// Backward adds scale · ∂Sum/∂param to every Param.Grad and returns the loss.
func (m *Model) Backward(b *Batch, scale float64) (Loss, error) { return Loss{}, errUnfinished }

// Logits are those of every position, [T × vocab] row-major.
func (m *Model) Logits(b *Batch) ([]float32, error) { return nil, errUnfinished }

// MemoryFor is the number of bytes that Backward takes at its peak for a packed
// row of rowLen tokens, beside the mapped file and the parameters.
func (m *Model) MemoryFor(rowLen int) int64 { return 0 }

// Info describes the base model.
func (m *Model) Info() Info { return Info{} }
