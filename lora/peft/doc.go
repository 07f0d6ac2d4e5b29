// Package peft turns adapters of Hugging Face's PEFT, a folder with
// adapter_config.json and adapter_model.safetensors, into GGUF adapters and
// back.
//
// The two hold the same numbers: A is [rank × in] and B is [out × rank] in
// both, and both add scale·B·A to a matrix. They differ in three things.
//
//   - Names: blk.0.attn_q.weight is model.layers.0.self_attn.q_proj; the table
//     is below.
//   - Order of rows: llama.cpp's converter permutes the rows of q and k of the
//     architecture llama, because its RoPE turns neighbours where Hugging
//     Face's turns halves. Rows of B go with the rows of the matrix; A stays as
//     it is (permute.go).
//   - Scale: alpha/rank with one alpha in GGUF; alpha/rank or alpha/√rank
//     (rsLoRA), by matrix if need be, in PEFT. What one alpha cannot say is
//     multiplied into B.
//
// The names in a layer, blk.N here and model.layers.N in Transformers:
//
//	attn_q, attn_k, attn_v    self_attn.q_proj, k_proj, v_proj    all but phi3
//	attn_output               self_attn.o_proj                    all
//	ffn_gate, ffn_up          mlp.gate_proj, up_proj              llama, qwen2, qwen3, gemma3
//	ffn_down                  mlp.down_proj                       those and phi3
//	attn_qkv                  self_attn.qkv_proj                  phi3: q, k and v one above the other in both
//	ffn_up                    mlp.gate_up_proj                    phi3: gate above up in both
//
// Of models with experts (qwen3moe, and Mixtral, whose architecture is llama)
// only attention has names: Transformers keeps experts as parameters that are
// no linear layers, and an adapter that changes them is refused.
//
// Gemma 3 of 34 layers and more sees pictures; Transformers loads it as
// Gemma3ForConditionalGeneration, whose layers are model.language_model.layers.N.
// Export writes those paths, and target_modules in full, because the vision
// tower has a q_proj as well. Import reads either.
//
// `make oracle` goes there and back with PEFT itself for each architecture.
//
// What GGUF cannot express, such as DoRA, trained biases or embeddings, is
// refused by name. Files are not trusted: a truncated or hostile one gets an
// error. What is written names no path of the machine.
package peft
