// Package ref is the oracle of training: a slow forward and backward pass with
// LoRA adapters, in float64 and plain loops, of every architecture that trains. It is
// there to be read and to be compared with; package lora/model is the one that
// trains. The two share no code.
//
// Shapes: T tokens in a row, E embedding, H query heads and K key-value heads
// of D dimensions each, F hidden units of the feed-forward part, V vocabulary,
// R rank. Matrices are row-major with shapes in comments, the last dimension
// contiguous, as in a GGUF file whose Dims are listed the other way round.
//
// The models are those of llama.cpp's src/models: RMSNorm (Zhang and Sennrich,
// arXiv:1910.07467), rotary positions (arXiv:2104.09864; on neighbouring pairs
// in llama, whose GGUF files have the rows of q and k permuted so that pairs are
// neighbours, on halves of a head in the others) with YaRN (arXiv:2309.00071),
// grouped-query attention (arXiv:2305.13245), gated units (arXiv:2002.05202),
// LoRA (arXiv:2106.09685). What an architecture has beyond that is asked for by
// its name where it matters (Model.is) and by which tensors a layer holds.
//
// A Model is not safe for concurrent use.
package ref
