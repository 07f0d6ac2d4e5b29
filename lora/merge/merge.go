package merge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"cloister/llama/gguf"
	"cloister/lora/atomicfile"
	"cloister/lora/internal/native"
	"cloister/lora/peft"
	"cloister/lora/train"
)

// Options of a merge.
type Options struct {
	// Type of the new file's matrices, by name (see Types); empty: each keeps its own.
	Type string
	// Pure gives the output matrix the type as well, where it would get Q6_K if
	// the type has fewer bits.
	Pure bool
	// Threads that quantise; 0: one for each core.
	Threads int
	// Progress is called with bytes of the base that are done, of all; may be nil.
	Progress func(done, total int64)
}

// Report says what was written.
type Report struct {
	Merged    int   `json:"merged"`    // matrices that the adapter changed
	Converted int   `json:"converted"` // tensors whose bytes are new: merged, or of another type
	Bytes     int64 `json:"bytes"`     // of the new file
	// Kept is the share of what the adapter adds that is left after rounding to
	// the new types: Σ (new − W)·ΔW / Σ ΔW² over all merged matrices. It is about
	// 1 for types of 8 bits; where the base is of few bits and an adapter adds
	// less than a step of its grid, nearly all is rounded away. 0 without an adapter.
	Kept float64 `json:"kept,omitempty"`
	// Fallbacks are tensors whose rows are no whole blocks of the type, with the
	// type that they got.
	Fallbacks map[string]string `json:"fallbacks,omitempty"`
}

// File merges an adapter into a copy of its base. With a nil adapter the copy
// only gets another type. The path must not exist.
func File(ctx context.Context, base *gguf.File, adapter *train.Adapter, path string, o Options) (Report, error) {
	m, err := plan(base, adapter, o)
	if err != nil {
		return Report{}, err
	}
	var size int64
	for i := range m.tensors {
		size += int64(m.tensors[i].Bytes())
	}
	if err := atomicfile.Room(path, size); err != nil {
		return Report{}, err
	}
	kv := m.metadata()
	err = atomicfile.Write(path, func(w io.Writer) error {
		return gguf.WriteFrom(w, kv, m.tensors, func(i int, w io.Writer) error { return m.write(ctx, w, i) })
	}, nil)
	if err != nil {
		return Report{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Report{}, err
	}
	m.report.Bytes = info.Size()
	if m.asked > 0 {
		m.report.Kept = m.got / m.asked
	}
	return m.report, nil
}

// merger writes one file.
type merger struct {
	base    *gguf.File
	tensors []gguf.Tensor // of the new file, without data
	pairs   map[string]*train.Pair
	alpha   float64
	format  *format // nil: types stay
	threads int
	report  Report

	progress    func(done, total int64)
	done, total int64

	mu         sync.Mutex
	got, asked float64 // the sums of Report.Kept
}

// plan chooses the type of every tensor.
func plan(base *gguf.File, adapter *train.Adapter, o Options) (*merger, error) {
	m := &merger{base: base, pairs: map[string]*train.Pair{}, threads: o.Threads, progress: o.Progress, report: Report{Fallbacks: map[string]string{}}}
	if m.threads <= 0 {
		m.threads = runtime.NumCPU()
	}
	if o.Type != "" {
		t, err := ParseType(o.Type)
		if err != nil {
			return nil, err
		}
		m.format = formatOf(t)
	}
	if adapter != nil {
		if err := peft.Check(adapter, base); err != nil {
			return nil, err
		}
		m.alpha = adapter.Alpha
		pairs := adapter.Pairs()
		for i := range pairs {
			m.pairs[pairs[i].Tensor] = &pairs[i]
		}
		m.report.Merged = len(pairs)
	}
	_, untied := base.Tensor("output.weight")
	for i := range base.Tensors {
		t := base.Tensors[i] // a copy
		m.total += int64(t.Bytes())
		output := t.Name == "output.weight" || !untied && t.Name == "token_embd.weight"
		if err := m.choose(&t, output && !o.Pure); err != nil {
			return nil, err
		}
		t.Data = nil
		m.tensors = append(m.tensors, t)
	}
	return m, nil
}

// choose sets the type that a tensor will have.
func (m *merger) choose(t *gguf.Tensor, spared bool) error {
	old := t.Type
	if m.format != nil {
		var exact bool
		if t.Type, exact = TypeFor(t, m.format.typ, spared); !exact {
			m.report.Fallbacks[t.Name] = t.Type.String()
		}
	}
	if t.Type == old && m.pairs[t.Name] == nil {
		return nil
	}
	if formatOf(t.Type) == nil {
		return fmt.Errorf("%s is %s, which cannot be quantised without an importance matrix; choose a type: %s", t.Name, t.Type, strings.Join(Types(), ", "))
	}
	if !native.TypeOK(uint32(old), int(t.Dims[0])) {
		return fmt.Errorf("%s is %s, which cannot be turned into float", t.Name, old)
	}
	m.report.Converted++
	return nil
}

// metadata is the base's with the type of the new file.
func (m *merger) metadata() []gguf.KV {
	if m.format == nil {
		return m.base.KV
	}
	return WithType(m.base.KV, m.format.typ)
}

// chunkValues is how many values one thread works on at a time: 4 MiB of floats.
var chunkValues = 1 << 20

// write writes the data of a tensor, some rows at a time.
func (m *merger) write(ctx context.Context, w io.Writer, i int) error {
	from, to := &m.base.Tensors[i], &m.tensors[i]
	defer func() {
		m.base.Release(from)
		m.done += int64(from.Bytes())
		if m.progress != nil {
			m.progress(m.done, m.total)
		}
	}()
	pair := m.pairs[from.Name]
	if pair == nil && from.Type == to.Type {
		_, err := w.Write(from.Data)
		return errors.Join(err, ctx.Err())
	}
	width := int(from.Dims[0])
	rows := int(from.Elements()) / width
	step := max(1, chunkValues/width)
	// Chunks are worked on at the same time and written in order.
	type result struct {
		data []byte
		err  error
	}
	var queue []chan result
	flush := func() error {
		r := <-queue[0]
		queue = queue[1:]
		if r.err == nil {
			_, r.err = w.Write(r.data)
		}
		return r.err
	}
	var failed error
	for at := 0; at < rows && failed == nil && ctx.Err() == nil; at += step {
		if len(queue) == m.threads {
			failed = flush()
		}
		c := make(chan result, 1)
		queue = append(queue, c)
		go func() {
			data, err := m.chunk(from, to.Type, pair, at, min(step, rows-at))
			c <- result{data, err}
		}()
	}
	for len(queue) > 0 { // also after a failure: chunks read the mapped file
		if err := flush(); failed == nil {
			failed = err
		}
	}
	return errors.Join(failed, ctx.Err())
}

// chunk makes n rows of a tensor from row at on.
func (m *merger) chunk(from *gguf.Tensor, typ gguf.Type, pair *train.Pair, at, n int) ([]byte, error) {
	width := int(from.Dims[0])
	rowBytes := from.Type.RowSize(width)
	x := make([]float32, n*width)
	if err := native.Dequantize(uint32(from.Type), from.Data[at*rowBytes:(at+n)*rowBytes], x); err != nil {
		return nil, fmt.Errorf("%s: %w", from.Name, err)
	}
	var before []float32
	if pair != nil {
		before = slices.Clone(x)
		add(x, pair, m.alpha/float64(pair.Rank()), at, n)
	}
	limit := float32(math.MaxFloat32)
	if typ == gguf.F16 {
		limit = 65504
	}
	for i, v := range x {
		if !(v >= -limit && v <= limit) {
			return nil, fmt.Errorf("%s: the value %g in row %d does not fit %s", from.Name, v, at+i/width, typ)
		}
	}
	data := native.Quantize(uint32(typ), x, n, width)
	if pair == nil {
		return data, nil
	}
	after := make([]float32, len(x))
	if err := native.Dequantize(uint32(typ), data, after); err != nil {
		return nil, fmt.Errorf("%s: %w", from.Name, err)
	}
	m.note(before, x, after)
	return data, nil
}

// note adds a chunk to the sums of Report.Kept: W, W + ΔW, and what that became.
func (m *merger) note(before, sum, after []float32) {
	var got, asked float64
	for i, w := range before {
		delta := float64(sum[i]) - float64(w)
		got += (float64(after[i]) - float64(w)) * delta
		asked += delta * delta
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got, m.asked = m.got+got, m.asked+asked
}

// add adds scale·B·A to rows [at, at+n) of W [out × in]: row i gets the sum over
// k of scale·B[i,k]·A[k,:].
func add(x []float32, p *train.Pair, scale float64, at, n int) {
	in, rank := p.A.Cols, p.Rank()
	for i := range n {
		row := x[i*in : (i+1)*in]
		for k, b := range p.B.Data[(at+i)*rank : (at+i+1)*rank] {
			f := float32(scale * float64(b))
			for j, a := range p.A.Data[k*in : (k+1)*in] {
				row[j] += f * a
			}
		}
	}
}
