// Package ref is the oracle of training: a slow forward and backward pass of
// architecture llama with LoRA adapters, in float64 and plain loops. It is
// there to be read and to be compared with; package lora/model is the one that
// trains. The two share no code.
//
// Shapes: T tokens in a row, E embedding, H query heads and K key-value heads
// of D dimensions each, F hidden units of the feed-forward part, V vocabulary,
// R rank. Matrices are row-major with shapes in comments, the last dimension
// contiguous, as in a GGUF file whose Dims are listed the other way round.
//
// The model is that of llama.cpp's src/models/llama.cpp: RMSNorm (Zhang and
// Sennrich, arXiv:1910.07467), rotary positions on neighbouring pairs
// (arXiv:2104.09864; GGUF files of this architecture have the rows of q and k
// permuted so that pairs are neighbours), grouped-query attention
// (arXiv:2305.13245), SwiGLU (arXiv:2002.05202), LoRA (arXiv:2106.09685).
//
// A Model is not safe for concurrent use.
package ref
