package model_test

import (
	"os"
	"testing"
	"unsafe"

	"cloister/llama"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// gemma is a real gemma3 model, gemma-3-270m in Q4_K_M. Its terms need
// accepting, so it is there only where somebody did and named the file.
func gemma(t *testing.T) string {
	t.Helper()
	path := os.Getenv("CLOISTER_TEST_GEMMA")
	if path == "" {
		t.Skip("CLOISTER_TEST_GEMMA names no gemma-3-270m")
	}
	return path
}

// gemmaTokens is a text that repeats until it has n tokens.
func gemmaTokens(t *testing.T, path string, n int) []int32 {
	t.Helper()
	v, err := llama.OpenVocab(path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	text := ""
	for {
		tokens, err := v.Tokenize(text, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(tokens) >= n {
			return tokens[:n]
		}
		text += "Which floor is radiology on? Radiology is on the third floor, and visitors go there by the blue lift at the main door. "
	}
}

// float32Copy writes the model with all its weights in F32, which changes no
// value; llama.cpp rounds no activations to 8 bits there.
func float32Copy(t *testing.T, path string) string {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cpu, err := native.Open(0, native.Naive)
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	var tensors []gguf.Tensor
	for _, x := range f.Tensors {
		cols := int(x.Dims[0])
		ids := make([]int32, int(x.Elements())/cols)
		for i := range ids {
			ids[i] = int32(i)
		}
		data := make([]float32, x.Elements())
		w := native.Weight{Type: uint32(x.Type), Data: unsafe.Pointer(unsafe.SliceData(x.Data)), Rows: len(ids), Cols: cols, RowBytes: native.RowBytes(uint32(x.Type), cols)}
		if err := cpu.Embed(native.Mat{Data: unsafe.Pointer(unsafe.SliceData(data)), Rows: len(ids), Cols: cols, Stride: cols}, w, ids); err != nil {
			t.Fatal(err)
		}
		x.Type = gguf.F32
		if x.Data, err = tinygguf.Quantise(gguf.F32, data); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	return writeModel(t, f.KV, tensors)
}

// Logits are llama.cpp's, also beyond the window of 512 tokens, if GELU comes
// from a table of 16 bits as there. Where weights are quantised it rounds
// activations to 8 bits besides, which costs this model 10 %.
func TestLogitsGemma(t *testing.T) {
	path := gemma(t)
	full := float32Copy(t, path)
	m := open(t, path, model.Config{})
	for _, n := range []int{50, 600} {
		tokens := gemmaTokens(t, path, n)
		own, rounded := compareLogits(t, full, m, tokens), compareLogits(t, path, m, tokens)
		table := open(t, path, model.Config{})
		table.HalfGELU()
		same := compareLogits(t, full, table, tokens)
		t.Logf("%d tokens: relative error %.2g, without the table of GELU %.2g, with activations of 8 bits %.2g", n, same, own, rounded)
		if !(same < 1e-3) || !(own < 5e-3) || !(rounded < 0.2) {
			t.Errorf("%d tokens: relative error %g, without the table of GELU %g, with activations of 8 bits %g", n, same, own, rounded)
		}
	}
}

// Loss and gradients against lora/ref.
func TestAgainstReferenceGemma(t *testing.T) {
	path := gemma(t)
	b := sequence(gemmaTokens(t, path, 32))
	for i := 16; i < len(b.Tokens)-1; i++ {
		b.Targets[i] = b.Tokens[i+1]
	}
	cfg := model.Config{Rank: 8, Alpha: 16}
	compareWithRef(t, path, cfg, func(*model.Model) *model.Batch { return b }, 1e-4)
	// A young adapter: a few activations are so large that rounding them to BF16 hides its gradients.
	var want [][]float32
	for _, p := range model.Precisions() {
		cfg.Precision = p
		m := openBest(t, path, cfg)
		randomB(m, 5)
		for i, p := range m.Params() {
			edit(p.Data, func(values []float32) {
				for j := range values {
					if i%2 == 1 {
						values[j] *= 0.01
					}
				}
			})
		}
		if want == nil {
			_, want = refGradients(t, path, m, cfg, b)
		}
		backward(t, m, b, 0.5)
		d := distance(gradients(m), want)
		t.Logf("B of 0.001, %s: largest relative error of a gradient %.2g", p, d)
		if p != model.BF16 && !(d < 1e-3) {
			t.Errorf("B of 0.001, %s: largest relative error of a gradient %g", p, d)
		}
	}
}
