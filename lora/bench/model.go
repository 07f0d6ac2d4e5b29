package bench

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strings"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/atomicfile"
	"cloister/lora/internal/native"
	"cloister/lora/merge"
)

// ModelConfig says what WriteModel writes.
type ModelConfig struct {
	Shape string // of Shapes, by name
	Type  string // of the matrices, as merge.Types
	// Layers, unless 0, makes a model of fewer or more layers than the shape has.
	Layers int
	// Tokenizer is a GGUF file whose tokenizer and chat template the model gets;
	// empty: single bytes, a few merges and ChatML.
	Tokenizer string
	Pure      bool // the output matrix has the type as well, where it would get Q6_K
	Seed      int64
	// Progress is called with bytes that are done, of all; may be nil.
	Progress func(done, total int64)
}

// ModelReport says what WriteModel wrote.
type ModelReport struct {
	Path       string            `json:"path"`
	Parameters int64             `json:"parameters"`
	Layers     int               `json:"layers"`
	Bytes      int64             `json:"bytes"`
	Fallbacks  map[string]string `json:"fallbacks,omitempty"` // as merge.Report's
}

// WriteModel writes a GGUF model of a known shape with random weights, for
// measurements where real weights cannot be had: it loads, answers noise and
// trains, and takes what a real one takes. Weights are normal with the variance
// that keeps activations in bounds. A matrix is made of blocks drawn from some
// thousand that are quantised once, so a file takes as long as its disk does,
// and memory does not grow with it. The same ModelConfig gives the same bytes.
// The file appears whole or not at all; the path must not exist.
func WriteModel(ctx context.Context, path string, c ModelConfig) (ModelReport, error) {
	w, err := c.plan()
	if err != nil {
		return ModelReport{}, err
	}
	w.report.Path = path
	if err := atomicfile.Room(path, w.report.Bytes); err != nil {
		return ModelReport{}, err
	}
	err = atomicfile.Write(path, func(out io.Writer) error {
		return gguf.WriteFrom(out, w.kv, w.tensors, func(i int, out io.Writer) error { return w.write(ctx, out, i) })
	}, nil)
	if err != nil {
		return ModelReport{}, fmt.Errorf("%s: %w", path, err)
	}
	return w.report, nil
}

// modelWriter writes one file.
type modelWriter struct {
	c       ModelConfig
	kv      []gguf.KV
	parts   []tinygguf.Part
	tensors []gguf.Tensor // of parts, in their types
	pools   map[poolKey][]byte
	report  ModelReport
	done    int64
}

// plan chooses the type of every tensor.
func (c ModelConfig) plan() (*modelWriter, error) {
	w := &modelWriter{c: c, pools: map[poolKey][]byte{}, report: ModelReport{Fallbacks: map[string]string{}}}
	typ, err := merge.ParseType(c.Type)
	if err != nil {
		return nil, err
	}
	shape, err := c.shape()
	if err != nil {
		return nil, err
	}
	if w.kv, w.parts, err = tinygguf.Plan(shape); err != nil {
		return nil, err
	}
	w.kv = merge.WithType(w.kv, typ)
	w.report.Layers = shape.Layers
	for _, p := range w.parts {
		t := p.Tensor
		output := t.Name == "output.weight" || shape.Tied && t.Name == "token_embd.weight"
		var exact bool
		if t.Type, exact = merge.TypeFor(&t, typ, output && !c.Pure); !exact {
			w.report.Fallbacks[t.Name] = t.Type.String()
		}
		w.tensors = append(w.tensors, t)
		w.report.Parameters += int64(t.Elements())
		w.report.Bytes += int64(t.Bytes())
	}
	return w, nil
}

// shape is the configuration that is written, in F32.
func (c ModelConfig) shape() (tinygguf.Config, error) {
	for _, s := range Shapes {
		if s.Name != c.Shape {
			continue
		}
		if c.Layers < 0 {
			return s.Config, fmt.Errorf("a model cannot have %d layers", c.Layers)
		}
		if c.Layers > 0 {
			s.Layers = c.Layers
		}
		s.Seed = c.Seed
		var err error
		if c.Tokenizer != "" {
			s.Tokenizer, err = tokenizerOf(c.Tokenizer, s.Vocab)
		}
		return s.Config, err
	}
	return tinygguf.Config{}, fmt.Errorf("no shape %q; choose from %s", c.Shape, strings.Join(ShapeNames(), ", "))
}

// unusedToken is llama.h's LLAMA_TOKEN_TYPE_UNUSED.
const unusedToken = int32(5)

// tokenizerOf reads the tokenizer of a GGUF file and fills it up to so many
// tokens with ones that stand for nothing.
func tokenizerOf(path string, vocab int) ([]gguf.KV, error) {
	f, err := gguf.OpenHeader(path)
	if err != nil {
		return nil, err
	}
	var kv []gguf.KV
	found := false
	for _, e := range f.KV {
		if !strings.HasPrefix(e.Key, "tokenizer.") {
			continue
		}
		switch v := e.Value.(type) {
		case []string:
			if e.Key != "tokenizer.ggml.tokens" {
				break
			}
			if found = true; len(v) > vocab {
				return nil, fmt.Errorf("%s has %d tokens, and the shape has room for %d; choose a larger shape or another tokenizer", path, len(v), vocab)
			}
			for i := len(v); i < vocab; i++ {
				v = append(v, fmt.Sprintf("<|unused%d|>", i))
			}
			e.Value = v
		case []int32:
			for e.Key == "tokenizer.ggml.token_type" && len(v) < vocab {
				v = append(v, unusedToken)
			}
			e.Value = v
		case []float32:
			for e.Key == "tokenizer.ggml.scores" && len(v) < vocab {
				v = append(v, 0)
			}
			e.Value = v
		}
		kv = append(kv, e)
	}
	if !found {
		return nil, fmt.Errorf("%s has no tokenizer (tokenizer.ggml.tokens); name a GGUF file of a whole model", path)
	}
	return kv, nil
}

// poolKey says of what kind blocks are.
type poolKey struct {
	typ   gguf.Type
	scale float64
}

const (
	poolValues = 1 << 20 // that are quantised once
	leastUnit  = 32      // values that are drawn together, or a block if that is more
	chunkBytes = 1 << 20 // that are written at once
)

// write writes the data of a tensor.
func (w *modelWriter) write(ctx context.Context, out io.Writer, i int) error {
	p, t := &w.parts[i], &w.tensors[i]
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.Name))
	rng := rand.New(rand.NewPCG(uint64(w.c.Seed), h.Sum64()))
	defer func() {
		w.done += int64(t.Bytes())
		if w.c.Progress != nil {
			w.c.Progress(w.done, w.report.Bytes)
		}
	}()
	if len(t.Dims) == 1 { // a norm or a bias
		_, err := out.Write(native.Quantize(uint32(t.Type), normal(rng, int(t.Elements()), p.Mean, p.Scale), 1, int(t.Elements())))
		return err
	}
	pool := w.pool(t.Type, p.Scale)
	unit := t.Type.RowSize(max(leastUnit, t.Type.BlockSize()))
	units := uint64(len(pool) / unit)
	chunk := make([]byte, 0, chunkBytes+unit)
	for left := int(t.Bytes()); left > 0; left -= len(chunk) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for chunk = chunk[:0]; len(chunk) < min(chunkBytes, left); {
			at := int(rng.Uint64N(units)) * unit
			chunk = append(chunk, pool[at:at+min(unit, left-len(chunk))]...)
		}
		if _, err := out.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

// pool is some thousand blocks of normal values.
func (w *modelWriter) pool(typ gguf.Type, scale float64) []byte {
	key := poolKey{typ, scale}
	if w.pools[key] == nil {
		x := normal(rand.New(rand.NewPCG(uint64(w.c.Seed), 1)), poolValues, 0, scale)
		w.pools[key] = native.Quantize(uint32(typ), x, poolValues/1024, 1024)
	}
	return w.pools[key]
}

func normal(rng *rand.Rand, n int, mean, scale float64) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(mean + scale*rng.NormFloat64())
	}
	return out
}
