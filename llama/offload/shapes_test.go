package offload_test

import (
	"os"
	"path/filepath"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
)

// shapes are published models' by their numbers.
var shapes = map[string]tinygguf.Config{
	"smollm2-135m": {Layers: 30, Embedding: 576, Heads: 9, KVHeads: 3, FFN: 1536, Vocab: 49152, Context: 8192, RopeBase: 100000, Epsilon: 1e-5, Tied: true, Type: gguf.Q8_0},
	"llama-8b":     {Layers: 32, Embedding: 4096, Heads: 32, KVHeads: 8, FFN: 14336, Vocab: 128256, Context: 8192, RopeBase: 500000, Epsilon: 1e-5, Type: gguf.Q4_K},
	"llama-70b":    {Layers: 80, Embedding: 8192, Heads: 64, KVHeads: 8, FFN: 28672, Vocab: 128256, Context: 8192, RopeBase: 500000, Epsilon: 1e-5, Type: gguf.Q4_K},
	"qwen2-7b":     {Architecture: "qwen2", Layers: 28, Embedding: 3584, Heads: 28, KVHeads: 4, FFN: 18944, Vocab: 152064, Context: 32768, RopeBase: 1000000, Epsilon: 1e-6, Type: gguf.Q4_K},
	"qwen3-30b-a3b": {Architecture: "qwen3moe", Layers: 48, Embedding: 2048, Heads: 32, KVHeads: 4, HeadDim: 128, FFN: 768, Vocab: 151936, Context: 40960, RopeBase: 1000000, Epsilon: 1e-6,
		Experts: 128, ExpertsUsed: 8, Type: gguf.Q4_K},
	"gemma3-1b": {Architecture: "gemma3", Layers: 26, Embedding: 1152, Heads: 4, KVHeads: 1, HeadDim: 256, FFN: 6912, Vocab: 262144, Context: 32768, RopeBase: 1000000, Epsilon: 1e-6, Tied: true,
		Window: 512, WindowPattern: 6, WindowRopeBase: 10000, Type: gguf.Q8_0},
	"phi3-mini": {Architecture: "phi3", Layers: 32, Embedding: 3072, Heads: 32, KVHeads: 32, FFN: 8192, Vocab: 32064, Context: 4096, RopeBase: 10000, Epsilon: 1e-5, Type: gguf.Q4_K},
}

// sparseOf writes a file of that shape whose tensors are a hole, so that it takes
// no room on the disk.
func sparseOf(t testing.TB, shape tinygguf.Config) string {
	t.Helper()
	kv, parts, err := tinygguf.Plan(shape)
	if err != nil {
		t.Fatal(err)
	}
	tensors := make([]gguf.Tensor, len(parts))
	for i, p := range parts {
		tensors[i] = p.Tensor
	}
	path := filepath.Join(t.TempDir(), "sparse.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := gguf.WriteHeader(f, kv, tensors); err != nil {
		t.Fatal(err)
	}
	header, err := gguf.OpenHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(header.Size + 4096); err != nil {
		t.Fatal(err)
	}
	return path
}
