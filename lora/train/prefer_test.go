package train_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama/chat"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/train"
)

// pairs are n preference pairs: the preferred answers are of a's, the others of z's.
func pairs(n, from int) []train.Example {
	var out []train.Example
	for i := from; i < from+n; i++ {
		out = append(out, train.Example{Row: i + 1, Rejected: strings.Repeat("z", 2+i%2), Messages: []chat.Message{
			{Role: "user", Content: fmt.Sprintf("q%d", i)}, {Role: "assistant", Content: strings.Repeat("a", 1+i%3)},
		}})
	}
	return out
}

// prefer is a job that learns from pairs.
func prefer(t *testing.T, base, method string) train.Request {
	t.Helper()
	req := request(t, base)
	req.Train, req.Valid = pairs(10, 0), pairs(4, 10)
	req.Hyperparameters.Method = method
	return req
}

// interrupted runs a job that is stopped after a step, and then its rest.
func interrupted(t *testing.T, req train.Request, at int) train.Result {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := train.Run(ctx, req, func(e train.Event) {
		if e.Kind == "step" && e.Step == at {
			cancel()
		}
	})
	if !errors.Is(err, train.ErrStopped) {
		t.Fatalf("the run was not stopped: %v", err)
	}
	result, err := train.Run(context.Background(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A model learns what is preferred, also of pairs that it has not seen; a run
// that was stopped gives the same bytes; the model that training begins with is
// the reference.
func TestPreference(t *testing.T) {
	base := writeTiny(t)
	for _, method := range []string{"dpo", "kto"} {
		t.Run(method, func(t *testing.T) {
			var b log
			req := prefer(t, base, method)
			req.Threads = 1
			result, err := train.Run(context.Background(), req, b.emit)
			if err != nil {
				t.Fatal(err)
			}
			steps, epochs := b.kind("step"), b.kind("epoch")
			first, last := steps[0].Rewards, epochs[len(epochs)-1].ValidRewards
			if first == nil || math.Abs(first.Margin) > 1e-4 || last == nil || last.Accuracy != 1 || last.Margin < 0.3 {
				t.Errorf("rewards began with %+v and ended with %+v", first, last)
			}
			want := map[string]float64{"dpo": math.Ln2, "kto": 0.5}[method]
			if math.Abs(steps[0].Loss-want) > 1e-4 || *epochs[len(epochs)-1].ValidLoss > 0.9*want {
				t.Errorf("the loss began with %g and ended with %g", steps[0].Loss, *epochs[len(epochs)-1].ValidLoss)
			}
			if result.Resolved.Beta != 0.1 || (first.KL != nil) != (method == "kto") {
				t.Errorf("beta %g, kl %v", result.Resolved.Beta, first.KL)
			}
			again := prefer(t, base, method)
			again.Threads = 2
			interrupted(t, again, 6)
			sameFiles(t, "stopped", again.OutPath, req.OutPath)

			// Going on, the tuned model is what is compared with.
			var c log
			more := prefer(t, base, method)
			more.InitPath = req.OutPath
			more.Hyperparameters.Rank, more.Hyperparameters.Alpha = 0, 0
			if _, err := train.Run(context.Background(), more, c.emit); err != nil {
				t.Fatal(err)
			}
			if s := c.kind("step")[0]; math.Abs(s.Loss-want) > 1e-4 || math.Abs(s.Rewards.Margin) > 1e-4 {
				t.Errorf("going on, the loss began with %g and the margin with %g", s.Loss, s.Rewards.Margin)
			}
		})
	}
}

// Each method takes what it can learn from, and says what is missing.
func TestMethodsAndExamples(t *testing.T) {
	base := writeTiny(t)
	yes, no := true, false
	judged := []train.Example{
		{Row: 1, Messages: pairs(1, 0)[0].Messages, Desirable: &yes}, {Row: 2, Messages: pairs(1, 1)[0].Messages, Desirable: &no},
		{Row: 3, Messages: pairs(1, 2)[0].Messages, Desirable: &yes}, {Row: 4, Messages: pairs(1, 3)[0].Messages, Desirable: &yes},
	}
	for _, c := range []struct {
		method   string
		examples []train.Example
		field    string
		want     string
	}{
		{"dpo", examples(3, 0), "method", "row 2 has no non_preferred_output"},
		{"dpo", judged, "method", "row 1 has no non_preferred_output"},
		{"kto", examples(3, 0), "method", "row 2 has neither a label nor"},
		{"kto", judged, "", ""}, {"kto", pairs(3, 0), "", ""}, {"supervised", judged, "", ""}, {"", pairs(3, 0), "", ""},
	} {
		req := prefer(t, base, c.method)
		req.Train, req.Valid = c.examples, nil
		var b log
		_, err := train.Run(context.Background(), req, b.emit)
		wrong, ok := errors.AsType[*train.FieldError](err)
		if c.field == "" && err != nil || c.field != "" && (!ok || wrong.Field != c.field || !strings.Contains(wrong.Message, c.want)) {
			t.Errorf("%s: %v, want %q", c.method, err, c.want)
		}
		if c.method == "supervised" && !strings.Contains(fmt.Sprint(b.kind("warning")), "1 training examples have answers that are not desirable") {
			t.Error("an undesirable answer is left out without a word")
		}
	}
	for field, h := range map[string]train.Hyperparameters{
		"method": {Method: "x"}, "beta": {Method: "dpo", Beta: 3}, "label_smoothing": {Method: "dpo", LabelSmoothing: 0.5},
		"desirable_weight": {Method: "dpo", DesirableWeight: 1}, "undesirable_weight": {Method: "kto", UndesirableWeight: -1},
		"distill_temperature": {Temperature: 1000}, "distill_top_k": {Method: "dpo", TopK: 3},
	} {
		wrong, ok := errors.AsType[*train.FieldError](h.Validate())
		if !ok || wrong.Field != field {
			t.Errorf("%s: %v", field, h.Validate())
		}
	}
}

// The weights of KTO make both sides count alike.
func TestResolveWeights(t *testing.T) {
	for _, c := range []struct {
		desirable, examples int
		yes, no             float64
	}{{30, 90, 2, 1}, {60, 90, 1, 2}, {50, 90, 1, 1}, {90, 90, 1, 1}} {
		h, _ := train.Resolve(train.Hyperparameters{Method: "kto"}, train.Facts{Examples: c.examples, Desirable: c.desirable, Parameters: 1e8})
		if h.DesirableWeight != c.yes || h.UndesirableWeight != c.no {
			t.Errorf("%d of %d desirable: %g and %g, want %g and %g", c.desirable, c.examples, h.DesirableWeight, h.UndesirableWeight, c.yes, c.no)
		}
		if h.LearningRate != 1e-4 || h.Epochs != 3 {
			t.Errorf("learning rate %g, %d epochs", h.LearningRate, h.Epochs)
		}
	}
}

// writeTeacher writes a larger model with the tokenizer of writeTiny's.
func writeTeacher(t *testing.T, change func(*tinygguf.Config)) string {
	t.Helper()
	c := tinygguf.Default()
	c.Layers, c.Embedding, c.Seed = 3, 48, 7
	if change != nil {
		change(&c)
	}
	path := filepath.Join(t.TempDir(), "teacher.gguf")
	if err := tinygguf.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	return path
}

// A student comes closer to its teacher, which may have more tokens that only
// fill its vocabulary up; a run that was stopped gives the same bytes.
func TestTeacher(t *testing.T) {
	base, teacher := writeTiny(t), writeTeacher(t, func(c *tinygguf.Config) { c.Vocab += 8 })
	job := func() train.Request {
		req := request(t, base)
		req.TeacherPath, req.Valid = teacher, req.Train // noise teaches nothing about other texts
		req.Hyperparameters.Epochs, req.Hyperparameters.Rank = 12, 8
		req.Hyperparameters.TopK, req.Hyperparameters.Temperature, req.Hyperparameters.DistillAlpha = 16, 2, -1
		return req
	}
	var b log
	req := job()
	req.Threads = 1
	if _, err := train.Run(context.Background(), req, b.emit); err != nil {
		t.Fatal(err)
	}
	steps, epochs := b.kind("step"), b.kind("epoch")
	before, after := *steps[0].KL, *epochs[len(epochs)-1].ValidKL
	t.Logf("divergence from the teacher: %.3f before training, %.3f after it", before, after)
	if !(after < 0.6*before) {
		t.Errorf("the divergence fell from %g to %g", before, after)
	}
	if want := 4 * before; math.Abs(steps[0].Loss-want) > 1e-6*want { // (1-α)·T²·KL
		t.Errorf("the loss is %g, want %g", steps[0].Loss, want)
	}
	again := job()
	again.Threads = 2
	interrupted(t, again, 5)
	sameFiles(t, "stopped", again.OutPath, req.OutPath)

	bad := job()
	bad.Hyperparameters.Method = "dpo"
	bad.Hyperparameters.TopK, bad.Hyperparameters.Temperature, bad.Hyperparameters.DistillAlpha = 0, 0, 0
	if _, err := train.Run(context.Background(), bad, nil); err == nil || !strings.Contains(err.Error(), "a teacher is learnt from with the method supervised") {
		t.Errorf("dpo with a teacher: %v", err)
	}
	bad = job()
	bad.TeacherPath = ""
	if _, err := train.Run(context.Background(), bad, nil); err == nil || !strings.Contains(err.Error(), "only with a teacher") {
		t.Errorf("a temperature without a teacher: %v", err)
	}
}

// The teacher may be a tuned model: what its adapter learnt is learnt from it.
func TestTunedTeacher(t *testing.T) {
	base := writeTiny(t)
	tuned := request(t, base)
	tuned.Hyperparameters.Epochs, tuned.Hyperparameters.LearningRate = 8, 0.02
	if _, err := train.Run(context.Background(), tuned, nil); err != nil {
		t.Fatal(err)
	}
	job := func(adapter string) (train.Request, []train.Event) {
		req := request(t, base)
		req.TeacherPath, req.TeacherAdapter, req.Valid = base, adapter, req.Train
		req.Hyperparameters.DistillAlpha = -1
		var b log
		if _, err := train.Run(context.Background(), req, b.emit); err != nil {
			t.Fatal(err)
		}
		return req, append(b.kind("step")[:1], b.kind("epoch")...)
	}
	if _, own := job(""); *own[0].KL > 1e-4 {
		t.Errorf("a model is %g from itself", *own[0].KL)
	}
	req, events := job(tuned.OutPath)
	if before, after := *events[0].KL, *events[len(events)-1].ValidKL; before < 0.05 || after > 0.8*before {
		t.Errorf("the divergence fell from %g to %g", before, after)
	}
	again := req
	again.WorkDir, again.OutPath = t.TempDir(), filepath.Join(t.TempDir(), "again.gguf")
	interrupted(t, again, 3)
	sameFiles(t, "stopped", again.OutPath, req.OutPath)

	e, err := train.Estimate(context.Background(), req)
	if err != nil || e.TeacherSeconds <= 0 || e.TeacherSeconds >= e.Seconds || e.Steps == 0 {
		t.Errorf("%+v %v", e, err)
	}
	bad := req
	bad.TeacherPath, bad.Hyperparameters.DistillAlpha = "", 0
	if _, err := train.Run(context.Background(), bad, nil); err == nil || !strings.Contains(err.Error(), "only with a teacher") {
		t.Errorf("an adapter of nobody: %v", err)
	}
	bad = req
	bad.TeacherPath = writeTeacher(t, nil)
	if _, err := train.Run(context.Background(), bad, nil); !errors.Is(err, train.ErrAdapter) {
		t.Errorf("an adapter of another model: %v", err)
	}
}

func TestSameVocabulary(t *testing.T) {
	base := writeTiny(t)
	if err := train.SameVocabulary(base, writeTeacher(t, nil)); err != nil {
		t.Errorf("the same tokenizer: %v", err)
	}
	larger := writeTeacher(t, func(c *tinygguf.Config) { c.Vocab += 8 })
	if err := errors.Join(train.SameVocabulary(base, larger), train.SameVocabulary(larger, base)); err != nil {
		t.Errorf("more tokens without use: %v", err)
	}
	for key, want := range map[string]string{"tokenizer.ggml.tokens": `token 100 is "other"`, "tokenizer.ggml.pre": `is "other"`, "tokenizer.ggml.model": `is "other"`} {
		err := train.SameVocabulary(base, renamed(t, key))
		if !errors.Is(err, train.ErrVocabulary) || !strings.Contains(err.Error(), want) {
			t.Errorf("another %s: %v", key, err)
		}
	}
	larger = renamed(t, "tokenizer.ggml.tokens")
	req := request(t, base)
	req.TeacherPath = larger
	if _, err := train.Run(context.Background(), req, nil); !errors.Is(err, train.ErrVocabulary) {
		t.Errorf("a job with it: %v", err)
	}
	if err := train.SameVocabulary(base, filepath.Join(t.TempDir(), "none.gguf")); err == nil {
		t.Error("a teacher that is not there")
	}
}

// renamed writes a tiny model with another value of a key of its tokenizer.
func renamed(t *testing.T, key string) string {
	t.Helper()
	kv, tensors, err := tinygguf.Build(tinygguf.Default())
	if err != nil {
		t.Fatal(err)
	}
	for i := range kv {
		if kv[i].Key != key {
			continue
		}
		if tokens, ok := kv[i].Value.([]string); ok {
			tokens[100] = "other"
		} else {
			kv[i].Value = "other"
		}
	}
	path := filepath.Join(t.TempDir(), "renamed.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(gguf.Write(f, kv, tensors), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
