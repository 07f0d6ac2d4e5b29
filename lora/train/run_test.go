package train_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/train"
)

func TestRun(t *testing.T) {
	req := request(t, writeTiny(t))
	res, events := mustRun(t, req)
	steps := events.kind("step")
	if len(steps) != 12 || res.Steps != 12 {
		t.Fatalf("%d step events, %d steps; want 12", len(steps), res.Steps)
	}
	for i, e := range steps {
		if e.Step != i+1 || e.TotalSteps != 12 || e.Epoch != i/4+1 || e.Epochs != 3 || e.GradNorm <= 0 || e.TokensPerSecond <= 0 {
			t.Errorf("step event %d: %+v", i+1, e)
		}
	}
	if first, last := steps[0].Loss, steps[11].Loss; !(last < 0.8*first) {
		t.Errorf("the loss went from %g to %g", first, last)
	}
	if epochs := events.kind("epoch"); len(epochs) != 3 || epochs[2].ValidLoss == nil || len(res.Curve) != 3 || *epochs[2].ValidLoss != *res.Curve[2].ValidLoss {
		t.Errorf("epochs: %+v, curve %+v", epochs, res.Curve)
	}
	for i, stat := range res.Curve {
		low, high := math.Inf(1), 0.0
		for _, e := range steps[4*i : 4*i+4] {
			low, high = min(low, e.Loss), max(high, e.Loss)
		}
		if !(stat.TrainLoss > low && stat.TrainLoss < high) {
			t.Errorf("epoch %d: loss %g; its steps have %g to %g", i+1, stat.TrainLoss, low, high)
		}
	}
	var saved []int
	for _, e := range events.kind("checkpoint") {
		saved = append(saved, e.Step)
	}
	if !slices.Equal(saved, []int{3, 4, 6, 8, 9, 12}) {
		t.Errorf("checkpoints after the steps %v", saved)
	}
	if len(res.Checkpoints) != 3 || res.Checkpoints[0].Step != 4 || res.TrainedTokens == 0 || res.PeakBytes == 0 {
		t.Errorf("result %+v", res)
	}
	// The best epoch is what was kept.
	if best := res.Checkpoints[res.BestEpoch-1]; best.Epoch != res.BestEpoch {
		t.Errorf("checkpoints %+v", res.Checkpoints)
	} else {
		sameFiles(t, "the best epoch", req.OutPath, best.Path)
	}
	// No text of an example is in the work folder.
	for _, f := range []string{"checkpoint", "adapter-step-12.gguf"} {
		if strings.Contains(string(readFile(t, filepath.Join(req.WorkDir, f))), "<|im_start|>") {
			t.Errorf("%s holds text", f)
		}
	}
}

// llama.cpp loads the adapter, and its logits are those of the reference.
func TestAdapterInLlamaCpp(t *testing.T) {
	req := request(t, writeTiny(t))
	mustRun(t, req)
	a, err := train.ReadAdapter(req.OutPath)
	if err != nil {
		t.Fatal(err)
	}
	r, err := openRef(req.BasePath, model.Config{Rank: a.Rank, Alpha: float32(a.Alpha)})
	if err != nil {
		t.Fatal(err)
	}
	for i, tensor := range a.Tensors {
		if tensor.Name != r.params[i].Name {
			t.Fatalf("tensor %d is %s", i, tensor.Name)
		}
		write(r.params[i].Data, tensor.Data)
	}
	r.push()
	m, err := llama.Open(req.BasePath)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	adapter, err := m.LoadAdapter(req.OutPath)
	if err != nil {
		t.Fatal(err)
	}
	defer adapter.Close()
	row, err := data.Render(m, req.Train[0].Messages, 0)
	if err != nil {
		t.Fatal(err)
	}
	packed := data.Pack([]data.Row{row}, 0)[0]
	want, err := r.logits(&packed)
	if err != nil {
		t.Fatal(err)
	}
	with, err := m.Logits(row.Tokens, adapter)
	if err != nil {
		t.Fatal(err)
	}
	without, err := m.Logits(row.Tokens, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(want, with); d > 0.001 {
		t.Errorf("logits with the adapter differ by %g from the reference", d)
	}
	if d := difference(want, without); d < 0.05 {
		t.Errorf("logits without the adapter differ by %g only; the adapter does nothing", d)
	}
}

// The first step's loss and gradient are sums over its targets divided by their number.
func TestFirstStep(t *testing.T) {
	req := request(t, writeTiny(t))
	_, events := mustRun(t, req)
	r, err := openRef(req.BasePath, model.Config{Rank: 2, Alpha: 4, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	v, err := llama.OpenVocab(req.BasePath)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var sum model.Loss
	var norm float64
	for _, n := range data.Order(10, 5, 1)[:3] {
		row, err := data.Render(v, req.Train[n].Messages, 0)
		if err != nil {
			t.Fatal(err)
		}
		packed := data.Pack([]data.Row{row}, 0)[0]
		l, err := r.Backward((*model.Batch)(&packed), 1)
		if err != nil {
			t.Fatal(err)
		}
		sum.Sum, sum.Tokens = sum.Sum+l.Sum, sum.Tokens+l.Tokens
	}
	for _, p := range r.params {
		for _, g := range values(p.Grad) {
			norm += float64(g) * float64(g)
		}
	}
	wantLoss, wantNorm := sum.Sum/float64(sum.Tokens), math.Sqrt(norm)/float64(sum.Tokens)
	if e := events.kind("step")[0]; math.Abs(e.Loss-wantLoss) > 1e-6 || math.Abs(e.GradNorm-wantNorm) > 1e-5*wantNorm {
		t.Errorf("loss %g and norm %g, want %g and %g", e.Loss, e.GradNorm, wantLoss, wantNorm)
	}
}

func (r *refModel) logits(p *data.Packed) ([]float64, error) {
	r.push()
	return r.m.Logits((*refBatch)(p))
}

// difference is |a-b| / |b|.
func difference(a []float64, b [][]float32) float64 {
	var diff, size float64
	for t, row := range b {
		for i, v := range row {
			d := a[t*len(row)+i] - float64(v)
			diff, size = diff+d*d, size+float64(v)*float64(v)
		}
	}
	return math.Sqrt(diff / size)
}

// Rows packed tightly or loosely, one example a row: the same losses.
func TestPackingChangesNothing(t *testing.T) {
	base := writeTiny(t)
	loose, tight := request(t, base), request(t, base)
	tight.Hyperparameters.MaxLength = 64
	_, a := mustRun(t, loose)
	_, b := mustRun(t, tight)
	if b.hasWarning("longer") {
		t.Fatal("examples were cut")
	}
	x, y := a.kind("step"), b.kind("step")
	for i := range x {
		if math.Abs(x[i].Loss-y[i].Loss) > 1e-6 || math.Abs(x[i].GradNorm-y[i].GradNorm) > 1e-5 {
			t.Errorf("step %d: loss %g and %g, norm %g and %g", i+1, x[i].Loss, y[i].Loss, x[i].GradNorm, y[i].GradNorm)
		}
	}
}

func TestCancelAndResume(t *testing.T) {
	base := writeTiny(t)
	whole := request(t, base)
	want, _ := mustRun(t, whole)
	for _, stop := range []int{1, 4, 7, 12} {
		req := request(t, base)
		ctx, cancel := context.WithCancel(context.Background())
		res, err := train.RunWith(ctx, req, func(e train.Event) {
			if e.Kind == "step" && e.Step == stop {
				cancel()
			}
		}, withRef)
		if !errors.Is(err, train.ErrStopped) || !errors.Is(err, context.Canceled) || res.Steps != stop {
			t.Fatalf("stopped at step %d: %v, at %d", stop, err, res.Steps)
		}
		got, events := mustRun(t, req)
		if n := len(events.kind("step")); n != 12-stop || len(events.kind("choice")) > 0 {
			t.Errorf("resumed after step %d: %d more steps", stop, n)
		}
		sameFiles(t, "resumed", req.OutPath, whole.OutPath)
		if !sameCurve(got.Curve, want.Curve) || got.TrainedTokens != want.TrainedTokens {
			t.Errorf("resumed after step %d: curve %+v, want %+v", stop, got.Curve, want.Curve)
		}
	}
}

func sameCurve(a, b []train.EpochStat) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// A finished job that is run again gives its result at once.
func TestRunAgain(t *testing.T) {
	req := request(t, writeTiny(t))
	first, _ := mustRun(t, req)
	if err := os.Remove(req.OutPath); err != nil {
		t.Fatal(err)
	}
	second, events := mustRun(t, req)
	if len(events.kind("step")) != 0 || second.BestEpoch != first.BestEpoch || !sameCurve(first.Curve, second.Curve) {
		t.Errorf("run again: %+v, was %+v", second, first)
	}
	sameFiles(t, "run again", req.OutPath, second.Checkpoints[second.BestEpoch-1].Path)
}

// A checkpoint of something else is refused with a warning, and the run is as a fresh one.
func TestCheckpointRefused(t *testing.T) {
	base := writeTiny(t)
	for name, tt := range map[string]struct {
		change func(*train.Request)
		damage func([]byte) []byte
		words  string
	}{
		"other examples": {change: func(r *train.Request) { r.Train = examples(10, 1) }, words: "other examples"},
		"other weight": {change: func(r *train.Request) {
			r.Train[0].Messages[1].Weight = new(int)
		}, words: "other examples"},
		"other rate":    {change: func(r *train.Request) { r.Hyperparameters.LearningRate = 0.02 }, words: "other hyper-parameters"},
		"other rank":    {change: func(r *train.Request) { r.Hyperparameters.Rank = 3 }, words: "shape"},
		"other base":    {change: func(r *train.Request) { r.BasePath = writeOther(t) }, words: "other base"},
		"a flipped bit": {damage: func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, words: "checksum"},
		"cut":           {damage: func(b []byte) []byte { return b[:len(b)-100] }, words: "bytes"},
		"empty":         {damage: func(b []byte) []byte { return nil }, words: "begin"},
		"text":          {damage: func(b []byte) []byte { return []byte("this is no checkpoint at all") }, words: "begin"},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, base)
			req.Hyperparameters.Epochs = 1
			mustRun(t, req)
			path := filepath.Join(req.WorkDir, "checkpoint")
			if tt.damage != nil {
				if err := os.WriteFile(path, tt.damage(readFile(t, path)), 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				tt.change(&req)
			}
			_, events := mustRun(t, req)
			if !events.hasWarning("anew", tt.words) || len(events.kind("step")) != 4 {
				t.Errorf("events %+v", events.kind("warning"))
			}
			fresh := req
			fresh.WorkDir, fresh.OutPath = t.TempDir(), filepath.Join(t.TempDir(), "fresh.gguf")
			mustRun(t, fresh)
			sameFiles(t, "after a refused checkpoint", req.OutPath, fresh.OutPath)
		})
	}
}

func TestContinueFromAdapter(t *testing.T) {
	first := request(t, writeTiny(t))
	_, before := mustRun(t, first)
	next := request(t, first.BasePath)
	next.InitPath = first.OutPath
	next.Hyperparameters.Rank, next.Hyperparameters.Alpha = 0, 0
	res, after := mustRun(t, next)
	if a, b := after.kind("step")[0].Loss, before.kind("step")[0].Loss; !(a < 0.9*b) {
		t.Errorf("continued with loss %g, the first run began with %g", a, b)
	}
	if res.Resolved.Rank != 2 || res.Resolved.Alpha != 4 {
		t.Errorf("resolved %+v", res.Resolved)
	}
	next.Hyperparameters.Rank = 8
	if _, err := train.RunWith(context.Background(), next, nil, withRef); err == nil || !strings.Contains(err.Error(), "rank 2") {
		t.Errorf("another rank: %v", err)
	}
}
