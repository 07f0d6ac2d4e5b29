package train_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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

// packedRows are the examples as the model sees them.
func packedRows(t *testing.T, base string, examples []train.Example) (rows []*model.Batch) {
	t.Helper()
	for _, b := range data.Pack(rendered(t, base, examples), 512) {
		rows = append(rows, (*model.Batch)(&b))
	}
	return rows
}

// heldOut is the mean over the answers' tokens of -ln p, and of the divergence
// from what a teacher says about each row.
func heldOut(t *testing.T, m *model.Model, rows []*model.Batch, teacher []*model.Soft) (loss, kl float64) {
	t.Helper()
	n := 0
	for i, b := range rows {
		d, err := m.LossDistilled(b, teacher[i])
		if err != nil {
			t.Fatal(err)
		}
		loss, kl, n = loss+d.Sum, kl+d.KL, n+d.Tokens
	}
	return loss / float64(n), kl / float64(n)
}

// A student of two thirds of the layers learns the same facts from the answers
// alone, and from the tuned teacher's likeliest tokens. With these it comes nearer
// to the teacher, on phrasings which neither training nor the choice of the epoch
// has seen; whether it also comes nearer to the answers is a matter of the teacher
// and of luck (lora/DESIGN.md), and only logged.
func TestOracleStudent(t *testing.T) {
	if os.Getenv(oraclePython) == "" {
		t.Skip("takes minutes; run make oracle")
	}
	base, dir := llamatest.Model(t), t.TempDir()
	student := firstLayers(t, base, 20)
	const places = 24
	job := func(path, name string, h train.Hyperparameters, teacher string) *model.Model {
		h.Rank, h.LearningRate, h.BatchSize, h.WarmupSteps, h.Patience = 16, 1e-3, 8, 8, -1
		req := train.Request{BasePath: path, WorkDir: filepath.Join(dir, name), OutPath: filepath.Join(dir, name+".gguf"), Train: phrased(places, 0, 3), Valid: phrased(places/2, 3, 4), Hyperparameters: h}
		if teacher != "" {
			req.TeacherPath, req.TeacherAdapter = base, teacher
		}
		if _, err := train.Run(context.Background(), req, nil); err != nil {
			t.Fatal(err)
		}
		a, err := train.ReadAdapter(req.OutPath)
		if err != nil {
			t.Fatal(err)
		}
		return openTuned(t, path, a)
	}
	test := packedRows(t, base, phrased(places, 4, 5))
	teacher := job(base, "teacher", train.Hyperparameters{Epochs: 6, Seed: 1}, "")
	var says []*model.Soft
	for _, b := range test {
		s, err := teacher.TopK(b, 32, 1, math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		says = append(says, s)
	}
	best, itself := heldOut(t, teacher, test, says)
	t.Logf("teacher, 30 layers: loss %.4f; %.1g from itself", best, itself)
	h := train.Hyperparameters{Epochs: 4, Seed: 1}
	loss, kl := heldOut(t, job(student, "plain", h, ""), test, says)
	h.DistillAlpha = -1 // nothing but the teacher
	taughtLoss, taughtKL := heldOut(t, job(student, "taught", h, filepath.Join(dir, "teacher.gguf")), test, says)
	t.Logf("student, 20 layers: loss %.4f from the answers, %.4f from the teacher alone; divergence from the teacher %.4f, %.4f", loss, taughtLoss, kl, taughtKL)
	if !(taughtKL < kl) || !(itself < 1e-3) {
		t.Errorf("%.4f from the teacher that it learnt from, %.4f without", taughtKL, kl)
	}
}
