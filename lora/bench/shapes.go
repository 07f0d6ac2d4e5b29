package bench

import "cloister/llama/gguf/tinygguf"

// Shape is a published model's, without its weights.
type Shape struct {
	Name string
	tinygguf.Config
}

// Shapes that WriteModel knows, by the configurations that were published with
// the models. Their tokenizers are not known here.
var Shapes = []Shape{
	{"smollm2-135m", tinygguf.Config{Layers: 30, Embedding: 576, Heads: 9, KVHeads: 3, FFN: 1536, Vocab: 49152, Context: 8192, RopeBase: 100000, Epsilon: 1e-5, Tied: true}},
	{"llama-1.7b", tinygguf.Config{Layers: 24, Embedding: 2048, Heads: 32, KVHeads: 32, FFN: 8192, Vocab: 49152, Context: 8192, RopeBase: 130000, Epsilon: 1e-5, Tied: true}}, // SmolLM2-1.7B
	{"llama-7b", tinygguf.Config{Layers: 32, Embedding: 4096, Heads: 32, KVHeads: 32, FFN: 11008, Vocab: 32000, Context: 4096, RopeBase: 10000, Epsilon: 1e-5}},               // Llama 2
	{"llama-8b", tinygguf.Config{Layers: 32, Embedding: 4096, Heads: 32, KVHeads: 8, FFN: 14336, Vocab: 128256, Context: 8192, RopeBase: 500000, Epsilon: 1e-5}},              // Llama 3
	{"llama-70b", tinygguf.Config{Layers: 80, Embedding: 8192, Heads: 64, KVHeads: 8, FFN: 28672, Vocab: 128256, Context: 8192, RopeBase: 500000, Epsilon: 1e-5}},
	{"mixtral-8x7b", tinygguf.Config{Layers: 32, Embedding: 4096, Heads: 32, KVHeads: 8, FFN: 14336, Vocab: 32000, Context: 32768, RopeBase: 1000000, Epsilon: 1e-5, Experts: 8, ExpertsUsed: 2}},
	{"qwen2-7b", tinygguf.Config{Architecture: "qwen2", Layers: 28, Embedding: 3584, Heads: 28, KVHeads: 4, FFN: 18944, Vocab: 152064, Context: 32768, RopeBase: 1000000, Epsilon: 1e-6}},
	{"qwen3-8b", tinygguf.Config{Architecture: "qwen3", Layers: 36, Embedding: 4096, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 12288, Vocab: 151936, Context: 40960, RopeBase: 1000000, Epsilon: 1e-6}},
	{"qwen3-30b-a3b", tinygguf.Config{Architecture: "qwen3moe", Layers: 48, Embedding: 2048, Heads: 32, KVHeads: 4, HeadDim: 128, FFN: 768, Vocab: 151936, Context: 40960, RopeBase: 1000000, Epsilon: 1e-6, Experts: 128, ExpertsUsed: 8}},
	{"gemma3-1b", tinygguf.Config{Architecture: "gemma3", Layers: 26, Embedding: 1152, Heads: 4, KVHeads: 1, HeadDim: 256, FFN: 6912, Vocab: 262144, Context: 32768, RopeBase: 1000000, Epsilon: 1e-6, Tied: true,
		Window: 512, WindowPattern: 6, WindowRopeBase: 10000}},
	{"phi3-mini", tinygguf.Config{Architecture: "phi3", Layers: 32, Embedding: 3072, Heads: 32, KVHeads: 32, FFN: 8192, Vocab: 32064, Context: 4096, RopeBase: 10000, Epsilon: 1e-5}},
}

// ShapeNames are the names of Shapes.
func ShapeNames() []string {
	var out []string
	for _, s := range Shapes {
		out = append(out, s.Name)
	}
	return out
}
