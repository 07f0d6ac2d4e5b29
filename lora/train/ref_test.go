package train_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/llama/chat"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/internal/native"
	"cloister/lora/model"
	"cloister/lora/ref"
	"cloister/lora/train"
)

// refModel is the float64 reference as the model that the loop trains.
type refModel struct {
	train.Trainable // what no test asks of it
	m               *ref.Model
	params          []*model.Param
}

func openRef(path string, c model.Config) (*refModel, error) {
	m, err := ref.Open(path, ref.Config{Rank: c.Rank, Alpha: float64(c.Alpha), Targets: c.Targets, Seed: c.Seed})
	if err != nil {
		return nil, err
	}
	r := &refModel{m: m}
	for _, p := range m.Params() {
		q := model.NewParam(p.Name, p.Rows, p.Cols)
		edit(q.Data, func(values []float32) {
			for i, v := range p.Data {
				values[i] = float32(v)
			}
		})
		r.params = append(r.params, q)
	}
	return r, nil
}

func (r *refModel) Params() []*model.Param { return r.params }
func (r *refModel) Draw(uint64)            {}
func (r *refModel) Close() error           { return nil }

func (r *refModel) ZeroGrad() error {
	r.m.ZeroGrad()
	for _, p := range r.params {
		edit(p.Grad, func(values []float32) { clear(values) })
	}
	return nil
}

// values is a copy of those of a matrix, on whatever device; edit and write change them.
func values(x model.Tensor) []float32 {
	out := make([]float32, x.Len())
	if err := x.Read(out); err != nil {
		panic(err)
	}
	return out
}

func edit(x model.Tensor, f func(values []float32)) {
	if err := x.Edit(f); err != nil {
		panic(err)
	}
}

func write(x model.Tensor, from []float32) {
	edit(x, func(values []float32) { copy(values, from) })
}

// push copies the params into the reference.
func (r *refModel) push() {
	for i, p := range r.m.Params() {
		for j, v := range values(r.params[i].Data) {
			p.Data[j] = float64(v)
		}
	}
}

func (r *refModel) Loss(b *model.Batch) (model.Loss, error) {
	r.push()
	l, err := r.m.Loss((*ref.Batch)(b))
	return model.Loss(l), err
}

func (r *refModel) Backward(b *model.Batch, scale float64) (model.Loss, error) {
	r.push()
	l, err := r.m.Backward((*ref.Batch)(b), scale)
	for i, p := range r.m.Params() {
		edit(r.params[i].Grad, func(values []float32) {
			for j, g := range p.Grad {
				values[j] = float32(g)
			}
		})
	}
	return model.Loss(l), err
}

// withRef trains the reference.
func withRef(path string, c model.Config) (train.Trainable, error) { return openRef(path, c) }

// writeTiny writes a tiny model and returns its path.
func writeTiny(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	return path
}

// examples are n short conversations, each with an answer of its own; every
// fifth has two.
func examples(n, from int) []train.Example {
	var out []train.Example
	for i := from; i < from+n; i++ {
		out = append(out, train.Example{Row: i + 2, Messages: []chat.Message{
			{Role: "user", Content: fmt.Sprintf("q%d", i)},
			{Role: "assistant", Content: strings.Repeat(string(rune('a'+i%26)), 1+i%3)},
		}})
		if last := &out[len(out)-1]; i%5 == 0 {
			last.Messages = append(last.Messages, chat.Message{Role: "user", Content: "and"}, chat.Message{Role: "assistant", Content: "no"})
		}
	}
	return out
}

// testDevice is where the tests of this package train: on a card that is
// emulated (tag cudaemu), on the one that CLOISTER_TEST_DEVICE names, or on the CPU.
func testDevice() string {
	if native.CUDAEmulated {
		return model.OnCUDA
	}
	return os.Getenv("CLOISTER_TEST_DEVICE")
}

// request is a job of 3 epochs of 4 steps on the tiny model.
func request(t testing.TB, base string) train.Request {
	t.Helper()
	dir := t.TempDir()
	return train.Request{
		Device: testDevice(),
		JobID:  "job", BasePath: base, WorkDir: filepath.Join(dir, "work"), OutPath: filepath.Join(dir, "adapter.gguf"),
		Train: examples(10, 0), Valid: examples(3, 10), CheckpointSteps: 3,
		Hyperparameters: train.Hyperparameters{
			Epochs: 3, BatchSize: 3, LearningRate: 0.01, Rank: 2, Alpha: 4, WarmupSteps: 2, Seed: 5, Patience: -1,
		},
	}
}

// log collects events.
type log []train.Event

func (l *log) emit(e train.Event) { *l = append(*l, e) }

func (l log) kind(kind string) (out []train.Event) {
	for _, e := range l {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// hasWarning reports whether a warning holds all the words.
func (l log) hasWarning(words ...string) bool {
	return slices.ContainsFunc(l.kind("warning"), func(e train.Event) bool {
		for _, w := range words {
			if !strings.Contains(e.Message, w) {
				return false
			}
		}
		return true
	})
}

func mustRun(t *testing.T, req train.Request) (train.Result, log) {
	t.Helper()
	var events log
	res, err := train.RunWith(context.Background(), req, events.emit, withRef)
	if err != nil {
		t.Fatal(err)
	}
	return res, events
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sameFiles(t *testing.T, what, got, want string) {
	t.Helper()
	if !bytes.Equal(readFile(t, got), readFile(t, want)) {
		t.Errorf("%s: the adapters differ", what)
	}
}

type refBatch = ref.Batch

// writeOther writes a tiny model with other weights.
func writeOther(t testing.TB) string {
	t.Helper()
	c := tinygguf.Default()
	c.Seed = 99
	path := filepath.Join(t.TempDir(), "other.gguf")
	if err := tinygguf.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	return path
}
