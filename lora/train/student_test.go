package train_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/gguf"
	"cloister/llama/llamatest"
	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/train"
)

// firstLayers writes the model's first n layers as a model of its own: a smaller
// student with the tokenizer and the template of the whole.
func firstLayers(t *testing.T, path string, n int) string {
	t.Helper()
	f := openGGUF(t, path)
	kv := append([]gguf.KV{}, f.KV...)
	for i := range kv {
		if kv[i].Key == "llama.block_count" {
			kv[i].Value = uint32(n)
		}
	}
	var tensors []gguf.Tensor
	for i := range f.Tensors {
		if layer, inside := strings.CutPrefix(f.Tensors[i].Name, "blk."); inside {
			number, _, _ := strings.Cut(layer, ".")
			if l, err := strconv.Atoi(number); err != nil || l >= n {
				continue
			}
		}
		tensors = append(tensors, f.Tensors[i])
	}
	out := filepath.Join(t.TempDir(), "student.gguf")
	w, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := gguf.Write(w, kv, tensors); err != nil {
		t.Fatal(err)
	}
	return out
}

// phrased are questions about n places of a clinic that does not exist, in the
// phrasings from to to, of 5.
func phrased(n, from, to int) []train.Example {
	floors := []string{"ground", "first", "second", "third", "fourth"}
	rooms := []string{"radiology", "the pharmacy", "the eye clinic", "dialysis", "the sleep laboratory", "admissions", "the burn unit", "the blood bank"}
	asks := []string{"Where do I find %s in wing %c?", "How do I get to %s, wing %c?", "I am looking for %s in wing %c.", "Which room is %s of wing %c in?", "Please tell me the way to %s in wing %c."}
	var out []train.Example
	for i := range n {
		room, wing := rooms[i%len(rooms)], 'A'+rune(i/len(rooms))
		for p := from; p < to; p++ {
			out = append(out, train.Example{Row: len(out) + 2, Messages: []chat.Message{
				{Role: "user", Content: fmt.Sprintf(asks[p], room, wing)},
				{Role: "assistant", Content: fmt.Sprintf("In wing %c, %s is on the %s floor, room %d. Ring the bell at door %d.", wing, room, floors[(3*i+i/7)%len(floors)], 100+(37*i)%900, 1+(11*i)%19)},
			}})
		}
	}
	return out
}

// heldOut is the mean of -ln p over the answers' tokens, with an adapter.
func heldOut(t *testing.T, base, adapter string, examples []train.Example) float64 {
	t.Helper()
	a, err := train.ReadAdapter(adapter)
	if err != nil {
		t.Fatal(err)
	}
	m := openKernels(t, base, model.Config{Rank: a.Rank, Alpha: float32(a.Alpha)})
	if err := train.Fill(a, m.Params()); err != nil {
		t.Fatal(err)
	}
	v, err := llama.OpenVocab(base)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var rows []data.Row
	for _, e := range examples {
		r, err := data.Render(v, e.Messages, 0)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	sum, n := 0.0, 0
	for _, b := range data.Pack(rows, 512) {
		l, err := m.Loss((*model.Batch)(&b))
		if err != nil {
			t.Fatal(err)
		}
		sum, n = sum+l.Sum, n+l.Tokens
	}
	return sum / float64(n)
}

// A student of two thirds of the layers learns the same facts from the answers
// alone, and from the answers and the tuned teacher's likeliest tokens; the loss
// is that on phrasings which neither training nor the choice of the epoch has seen.
func TestOracleStudent(t *testing.T) {
	if os.Getenv(oraclePython) == "" {
		t.Skip("takes minutes; run make oracle")
	}
	base, dir := llamatest.Model(t), t.TempDir()
	student := firstLayers(t, base, 20)
	const places = 48
	job := func(path, name string, h train.Hyperparameters, teacher string) string {
		h.Rank, h.LearningRate, h.BatchSize, h.WarmupSteps, h.Patience = 16, 1e-3, 8, 8, -1
		req := train.Request{BasePath: path, WorkDir: filepath.Join(dir, name), OutPath: filepath.Join(dir, name+".gguf"), Train: phrased(places, 0, 3), Valid: phrased(places/2, 3, 4), Hyperparameters: h}
		if teacher != "" {
			req.TeacherPath, req.TeacherAdapter = base, teacher
		}
		if _, err := train.Run(context.Background(), req, nil); err != nil {
			t.Fatal(err)
		}
		return req.OutPath
	}
	test := phrased(places, 4, 5)
	teacher := job(base, "teacher", train.Hyperparameters{Epochs: 12, Seed: 1}, "")
	best := heldOut(t, base, teacher, test)
	t.Logf("teacher, 30 layers: %.4f", best)
	var plain, taught float64
	for seed := int64(1); seed <= 2; seed++ {
		a := heldOut(t, student, job(student, fmt.Sprint("plain", seed), train.Hyperparameters{Epochs: 8, Seed: seed}, ""), test)
		b := heldOut(t, student, job(student, fmt.Sprint("taught", seed), train.Hyperparameters{Epochs: 8, Seed: seed}, teacher), test)
		t.Logf("student, 20 layers, seed %d: %.4f from the answers, %.4f from answers and teacher", seed, a, b)
		plain, taught = plain+a/2, taught+b/2
	}
	t.Logf("mean: %.4f and %.4f, %+.1f %%", plain, taught, 100*(taught/plain-1))
	// A teacher that knows no more than the student makes it worse: one of 6
	// epochs (0.2321) gave 0.2626 in place of 0.2184.
	if !(best < plain/2) || !(taught < 1.02*plain) {
		t.Errorf("the teacher has %.4f, who learns from it %.4f, who does not %.4f", best, taught, plain)
	}
}
