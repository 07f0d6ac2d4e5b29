package train_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/model"
	"cloister/lora/train"
)

// withStart opens the kernels' model, in float32, with the start values of the reference.
func withStart(path string, c model.Config) (train.Trainable, error) {
	c.Precision = model.Float32
	m, err := model.Open(path, c)
	if err != nil {
		return nil, err
	}
	r, err := openRef(path, c)
	if err != nil {
		return nil, err
	}
	for i, p := range m.Params() {
		if q := r.params[i]; p.Name != q.Name || p.Rows != q.Rows || p.Cols != q.Cols {
			return nil, errors.New("the two models order their params differently: " + p.Name + ", " + q.Name)
		}
		write(p.Data, values(r.params[i].Data))
	}
	return m, nil
}

// Twelve steps of the kernels follow the curve of the float64 reference, on
// plain and on quantised weights.
func TestCurveAgainstReference(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.F32, gguf.Q8_0, gguf.Q4_1, gguf.Q4_K} {
		c := tinygguf.Default()
		c.Type, c.Tied = typ, typ == gguf.Q4_1
		if typ.BlockSize() == 256 {
			c.Embedding, c.FFN = 256, 256
		}
		base := filepath.Join(t.TempDir(), "tiny.gguf")
		if err := tinygguf.WriteFile(base, c); err != nil {
			t.Fatal(err)
		}
		slow, fast := request(t, base), request(t, base)
		want, a := mustRun(t, slow)
		var b log
		got, err := train.RunWith(context.Background(), fast, b.emit, withStart)
		if err != nil {
			t.Fatal(err)
		}
		x, y := a.kind("step"), b.kind("step")
		if len(x) != 12 || len(y) != 12 {
			t.Fatalf("%s: %d and %d steps", typ, len(x), len(y))
		}
		worst := 0.0
		for i := range x {
			worst = max(worst, math.Abs(y[i].Loss/x[i].Loss-1), math.Abs(y[i].GradNorm/x[i].GradNorm-1))
		}
		t.Logf("%s: worst relative difference of losses and norms %.2g", typ, worst)
		if !(worst < 1e-5) {
			t.Errorf("%s: losses or norms differ by %g", typ, worst)
		}
		for i := range want.Curve {
			if d := math.Abs(*got.Curve[i].ValidLoss / *want.Curve[i].ValidLoss - 1); !(d < 1e-5) {
				t.Errorf("%s: validation loss of epoch %d differs by %g", typ, i+1, d)
			}
		}
	}
}

// The real model's run, killed, gives the bytes of one that was left alone,
// whatever the number of threads, wherever it was killed, and with every option
// that draws at random or counts steps.
func TestKillWithKernels(t *testing.T) {
	base := writeTiny(t)
	t.Setenv(kernelsVariable, "1")
	plain := func(*train.Request) {}
	options := func(r *train.Request) {
		h := &r.Hyperparameters
		h.BatchSize, h.BatchTokens, h.Accumulation = 0, 60, 2
		h.Dropout, h.NoiseAlpha, h.LoraPlusRatio, h.RankStabilized = 0.2, 5, 4, true
		h.Schedule, h.WarmupSteps, h.WarmupRatio, h.EvalSteps = "cosine_with_restarts", 0, 0.1, 2
		r.CheckpointSteps = 2
	}
	for name, change := range map[string]func(*train.Request){"plain": plain, "options": options} {
		whole := request(t, base)
		change(&whole)
		whole.Threads = 1
		var events log
		want, err := train.Run(context.Background(), whole, events.emit)
		if err != nil {
			t.Fatal(err)
		}
		deaths := []string{"rename 2"}
		for n := len(events.kind("choice")) + 2; n < len(events); n += 3 {
			deaths = append(deaths, fmt.Sprintf("event %d", n))
		}
		t.Logf("%s: %d steps, %d events, killed at %v", name, want.Steps, len(events), deaths)
		for i, when := range deaths {
			req := request(t, base)
			change(&req)
			req.Threads = 1 + i%3
			die(t, req, when)
			if _, err := train.Run(context.Background(), req, nil); err != nil {
				t.Fatal(err)
			}
			sameFiles(t, name+", killed at "+when, req.OutPath, whole.OutPath)
		}
	}
}
