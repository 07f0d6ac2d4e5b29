// Package llama runs GGUF models on llama.cpp: tokenizer, chat template,
// weights, adapters. It knows nothing of HTTP, stores or jobs.
//
//   - A Vocab is the tokenizer and the chat template without the weights: what
//     training needs to render examples. It is safe for concurrent use.
//   - A Model adds the weights. It and its Vocab are safe for concurrent use.
//   - A Context is the key-value cache and the work space of running requests.
//     One goroutine at a time may use it; package sched owns one and serves
//     many requests with it.
//
// Close a Context before its Model. Nothing may be used after Close.
package llama
