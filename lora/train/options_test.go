package train_test

import (
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/train"
)

// rendered are the rows of examples as the model's template gives them.
func rendered(t *testing.T, base string, examples []train.Example) []data.Row {
	t.Helper()
	v, err := llama.OpenVocab(base)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	return rowsOf(t, v, examples)
}

// The optimiser's options against AdamW written out in float64 over the
// reference's gradients: LoRA+, betas, epsilon, weight decay, clipping, the
// rate with warm-up and restarts, and the order of the file.
func TestOptimiserAgainstReference(t *testing.T) {
	req := request(t, writeTiny(t))
	req.Valid = nil
	h := &req.Hyperparameters
	h.Epochs, h.BatchSize, h.WarmupSteps, h.WarmupRatio, h.NoShuffle = 2, 5, 0, 0.25, true
	h.LoraPlusRatio, h.Beta1, h.Beta2, h.Epsilon, h.WeightDecay, h.MaxGradNorm = 8, 0.8, 0.95, 1e-5, 0.3, 0.5
	h.Schedule, h.Cycles = "cosine_with_restarts", 3
	mustRun(t, req)

	r, err := openRef(req.BasePath, model.Config{Rank: h.Rank, Alpha: float32(h.Alpha), Seed: h.Seed})
	if err != nil {
		t.Fatal(err)
	}
	rows := rendered(t, req.BasePath, req.Train)
	first, second := make([][]float64, len(r.params)), make([][]float64, len(r.params))
	// One step of warm-up, then three descents of a step each: the full rate every time.
	for step := range 4 {
		from := step % 2 * 5
		if err := r.ZeroGrad(); err != nil {
			t.Fatal(err)
		}
		targets := 0
		for _, row := range rows[from : from+5] {
			targets += row.Targets()
		}
		for n := range 5 {
			packed := data.Pack(rows[from+n:from+n+1], 0)[0]
			if _, err := r.Backward((*model.Batch)(&packed), 1/float64(targets)); err != nil {
				t.Fatal(err)
			}
		}
		norm := 0.0
		for _, p := range r.params {
			for _, g := range values(p.Grad) {
				norm += float64(g) * float64(g)
			}
		}
		factor := min(1, 0.5/(math.Sqrt(norm)+1e-6))
		for i, p := range r.params {
			if step == 0 {
				first[i], second[i] = make([]float64, p.Len()), make([]float64, p.Len())
			}
			rate := 0.01
			if strings.HasSuffix(p.Name, "lora_b") {
				rate *= 8
			}
			data := values(p.Data)
			for k, g := range values(p.Grad) {
				v := float64(g) * factor
				first[i][k] = 0.8*first[i][k] + 0.2*v
				second[i][k] = 0.95*second[i][k] + 0.05*v*v
				m, s := first[i][k]/(1-math.Pow(0.8, float64(step+1))), second[i][k]/(1-math.Pow(0.95, float64(step+1)))
				data[k] = float32(float64(data[k])*(1-rate*0.3) - rate*m/(math.Sqrt(s)+1e-5))
			}
			write(p.Data, data)
		}
	}
	a, err := train.ReadAdapter(req.OutPath)
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for i, tensor := range a.Tensors {
		data := values(r.params[i].Data)
		for k, v := range tensor.Data {
			worst = max(worst, math.Abs(float64(v-data[k])))
		}
	}
	t.Logf("after 4 steps values differ by at most %.2g", worst)
	if worst > 2e-6 {
		t.Errorf("values differ by up to %g", worst)
	}
}

// rsLoRA is another scale, and the file says it in llama.cpp's words.
func TestRankStabilized(t *testing.T) {
	base := writeTiny(t)
	stable, plain := request(t, base), request(t, base)
	stable.Hyperparameters.Rank, stable.Hyperparameters.Alpha, stable.Hyperparameters.RankStabilized = 4, 3, true
	plain.Hyperparameters.Rank, plain.Hyperparameters.Alpha = 4, 6 // 3/√4 = 6/4
	mustRun(t, stable)
	mustRun(t, plain)
	sameFiles(t, "the same scale by rsLoRA", stable.OutPath, plain.OutPath)
	if a, err := train.ReadAdapter(stable.OutPath); err != nil || a.Alpha != 6 {
		t.Errorf("alpha in the file: %v, %v", a, err)
	}
}

func TestAccumulation(t *testing.T) {
	base := writeTiny(t)
	parts, whole := request(t, base), request(t, base)
	parts.Hyperparameters.BatchSize, parts.Hyperparameters.Accumulation = 2, 3
	whole.Hyperparameters.BatchSize = 6
	res, _ := mustRun(t, parts)
	mustRun(t, whole)
	if res.Steps != 6 { // 6 and 4 examples, three times
		t.Errorf("%d steps", res.Steps)
	}
	sameFiles(t, "three batches of two", parts.OutPath, whole.OutPath)
}

// Batches fill up to a number of tokens; every example is seen once in an epoch.
func TestBatchTokens(t *testing.T) {
	req := request(t, writeTiny(t))
	longest, all := 0, int64(0)
	for _, r := range rendered(t, req.BasePath, req.Train) {
		longest, all = max(longest, len(r.Tokens)), all+int64(len(r.Tokens))
	}
	h := &req.Hyperparameters
	h.BatchSize, h.BatchTokens = 0, longest+20
	res, events := mustRun(t, req)
	before, fullest := int64(0), int64(0)
	for _, e := range events.kind("step") {
		n := e.TokensDone - before
		before, fullest = e.TokensDone, max(fullest, n)
		if n > int64(h.BatchTokens) {
			t.Errorf("step %d has %d tokens, the batch may have %d", e.Step, n, h.BatchTokens)
		}
	}
	if before != 3*all || res.TrainedTokens != before || fullest <= int64(longest) {
		t.Errorf("%d tokens in 3 epochs of %d, at most %d in a step", before, all, fullest)
	}
	if last := events.kind("step"); last[len(last)-1].Step != res.Steps || last[0].TotalSteps != res.Steps {
		t.Errorf("%d steps were announced, %d made", last[0].TotalSteps, res.Steps)
	}
	e, err := train.EstimateWith(context.Background(), req, withRef)
	if err != nil || e.Steps != res.Steps {
		t.Errorf("estimated %d steps, %v", e.Steps, err)
	}
}

// What is handed to the model: targets, scale, noise and precision.
func TestModelOptions(t *testing.T) {
	base := writeTiny(t)
	for _, tt := range []struct {
		h    train.Hyperparameters
		want func(model.Config) bool
	}{
		{train.Hyperparameters{Targets: []string{"attention"}}, func(c model.Config) bool { return len(c.Targets) == 4 && c.Targets[3] == "attn_output" }},
		{train.Hyperparameters{Targets: []string{"all-linear"}}, func(c model.Config) bool { return len(c.Targets) == 7 }},
		{train.Hyperparameters{Targets: []string{"ffn_up", "attn_q"}}, func(c model.Config) bool { return len(c.Targets) == 2 }},
		{train.Hyperparameters{Dropout: 0.25}, func(c model.Config) bool { return c.Dropout == 0.25 && c.EmbeddingNoise == 0 }},
		{train.Hyperparameters{NoiseAlpha: 5}, func(c model.Config) bool { return c.Dropout == 0 && c.EmbeddingNoise == 5 }},
		{train.Hyperparameters{Precision: "float32"}, func(c model.Config) bool { return c.Precision == model.Float32 }},
		{train.Hyperparameters{}, func(c model.Config) bool { return c.Precision == model.Precisions()[0] }},
	} {
		req := request(t, base)
		tt.h.Epochs, tt.h.Seed = 1, 1
		req.Hyperparameters = tt.h
		var got model.Config
		res, err := train.RunWith(context.Background(), req, nil, func(path string, c model.Config) (train.Trainable, error) {
			got = c
			return openRef(path, c)
		})
		if err != nil || !tt.want(got) {
			t.Errorf("%+v gives %+v, %v", tt.h, got, err)
		}
		if res.Resolved.Precision == "" || len(res.Resolved.Targets) != len(got.Targets) {
			t.Errorf("resolved %+v", res.Resolved)
		}
	}
	req := request(t, base)
	for _, p := range []model.Precision{model.BF16, model.BF16x3} {
		req.Hyperparameters.Precision = string(p)
		has := slices.Contains(model.Precisions(), p)
		if _, err := train.RunWith(context.Background(), req, nil, withRef); (err == nil) != has {
			t.Errorf("%s on a CPU that has it: %v, %v", p, has, err)
		}
	}
}

// Noise changes training, not validation; its draws follow from the seed, for
// any number of threads.
func TestNoise(t *testing.T) {
	base := writeTiny(t)
	run := func(threads int, change func(*train.Hyperparameters)) (train.Request, log) {
		req := request(t, base)
		req.Threads = threads
		req.Hyperparameters.Precision = "float32"
		change(&req.Hyperparameters)
		var events log
		if _, err := train.Run(context.Background(), req, events.emit); err != nil {
			t.Fatal(err)
		}
		return req, events
	}
	still := func(h *train.Hyperparameters) { h.LearningRate = 1e-8 }
	_, plain := run(1, still)
	for name, noise := range map[string]func(*train.Hyperparameters){
		"dropout": func(h *train.Hyperparameters) { h.Dropout = 0.3 },
		"NEFTune": func(h *train.Hyperparameters) { h.NoiseAlpha = 10 },
	} {
		one, _ := run(1, noise)
		three, _ := run(3, noise)
		sameFiles(t, name+" with one thread and with three", one.OutPath, three.OutPath)
		other, _ := run(1, func(h *train.Hyperparameters) { noise(h); h.Seed++ })
		if string(readFile(t, other.OutPath)) == string(readFile(t, one.OutPath)) {
			t.Errorf("%s: another seed gives the same adapter", name)
		}
		_, events := run(1, func(h *train.Hyperparameters) { noise(h); still(h) })
		x, y := events.kind("step"), plain.kind("step")
		if x[0].GradNorm == y[0].GradNorm {
			t.Errorf("%s: the first gradient is that without noise", name)
		}
		_, events = run(1, func(h *train.Hyperparameters) { noise(h); still(h); h.BatchSize, h.NoShuffle = 10, true })
		if a, b := events.kind("step")[0].GradNorm, events.kind("step")[1].GradNorm; math.Abs(a/b-1) < 1e-3 {
			t.Errorf("%s: two steps on the same batch draw the same noise", name)
		}
		if v, w := *events.kind("epoch")[0].ValidLoss, *plain.kind("epoch")[0].ValidLoss; math.Abs(v-w) > 1e-6 {
			t.Errorf("%s: the validation loss is %g, without noise %g", name, v, w)
		}
	}
}

func TestKeepCheckpoints(t *testing.T) {
	req := request(t, writeTiny(t))
	req.Hyperparameters.KeepCheckpoints = 2
	res, _ := mustRun(t, req)
	if len(res.Checkpoints) != 2 || res.Checkpoints[0].Epoch != 2 {
		t.Errorf("checkpoints %+v", res.Checkpoints)
	}
	if _, err := os.Stat(req.WorkDir + "/adapter-step-4.gguf"); err == nil {
		t.Error("the adapter of the first epoch was kept")
	}
}
