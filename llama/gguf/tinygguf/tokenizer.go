package tinygguf

import (
	"fmt"

	"cloister/llama/gguf"
)

// Control tokens of each model.
const (
	EndOfText = 0 // <|endoftext|>, the BOS token
	ImStart   = 1 // <|im_start|>
	ImEnd     = 2 // <|im_end|>, the EOS token: it ends an answer
)

// chatML is the template of a model without one of its own.
const chatML = `{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// Kinds of tokens, as in llama.h.
const (
	normal  = int32(1)
	control = int32(3)
	unused  = int32(5)
)

// merges of the byte-pair encoding, in its own letters (Ġ is the space).
var merges = []string{"t h", "th e", "Ġ the", "i n", "e r", "a n", "Ġ a", "o n"}

// MinVocab is the number of tokens that every model has: three control tokens,
// 256 bytes and the merges.
var MinVocab = 3 + 256 + len(merges)

// tokenizer is a byte-level BPE as of GPT-2.
func (c Config) tokenizer() []gguf.KV {
	tokens := []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
	kinds := []int32{control, control, control}
	add := func(s string, kind int32) {
		tokens, kinds = append(tokens, s), append(kinds, kind)
	}
	for _, letter := range byteLetters() {
		add(string(letter), normal)
	}
	for _, m := range merges {
		var left, right string
		_, _ = fmt.Sscan(m, &left, &right)
		add(left+right, normal)
	}
	for i := len(tokens); i < c.Vocab; i++ {
		add(fmt.Sprintf("<|unused%d|>", i), unused)
	}
	template := c.Template
	if template == "" {
		template = chatML
	}
	return []gguf.KV{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: "smollm"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.token_type", Value: kinds},
		{Key: "tokenizer.ggml.merges", Value: merges},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(EndOfText)},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(ImEnd)},
		{Key: "tokenizer.ggml.eot_token_id", Value: uint32(ImEnd)},
		{Key: "tokenizer.ggml.add_bos_token", Value: c.AddBOS},
		{Key: "tokenizer.chat_template", Value: template},
	}
}

// byteLetters is GPT-2's table: the letter that stands for each byte.
// Printable ones stand for themselves, the others follow from 256 on.
func byteLetters() [256]rune {
	var out [256]rune
	next := rune(256)
	for b := range out {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			out[b] = rune(b)
		} else {
			out[b] = next
			next++
		}
	}
	return out
}
