// Package merge adds an adapter to its base model for good: each matrix W that
// the adapter changes becomes W + scale·B·A, in a new GGUF file whose matrices
// have the type that was asked for. The new file needs no adapter and runs
// wherever llama.cpp does.
//
// Tensors are read from the mapped base, dequantised, changed, quantised and
// written some rows at a time, so memory does not grow with the model. The file
// appears whole or not at all. With no type asked for, tensors that the adapter
// leaves alone keep their bytes, and the others their type.
//
// Quantising rounds the sum anew: on a 4-bit base some of what was learnt is
// lost, and nearly all of it where an adapter has learnt little, since the base
// stands on the very grid that the sum is rounded to. Report.Kept says how much is
// left, and Compare measures what that does to the logits of llama.cpp.
package merge
