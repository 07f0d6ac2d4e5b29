// Package peft turns adapters of Hugging Face's PEFT, a folder with
// adapter_config.json and adapter_model.safetensors, into GGUF adapters and
// back.
//
// The two hold the same numbers: A is [rank × in] and B is [out × rank] in
// both, and both add scale·B·A to a matrix. They differ in three things.
//
//   - Names: blk.0.attn_q.weight is model.layers.0.self_attn.q_proj; names.go
//     has the table by architecture.
//   - Order of rows: llama.cpp's converter permutes the rows of q and k of the
//     architecture llama, because its RoPE turns neighbours where Hugging
//     Face's turns halves. Rows of B go with the rows of the matrix; A stays as
//     it is (permute.go).
//   - Scale: alpha/rank with one alpha in GGUF; alpha/rank or alpha/√rank
//     (rsLoRA), by matrix if need be, in PEFT. What one alpha cannot say is
//     multiplied into B.
//
// What GGUF cannot express, such as DoRA, trained biases or embeddings, is
// refused by name. Files are not trusted: a truncated or hostile one gets an
// error. What is written names no path of the machine.
package peft
