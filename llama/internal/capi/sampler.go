package capi

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Sampler is a chain of llama_samplers, perhaps with a grammar beside it.
type Sampler struct{ p, grammar *C.struct_llama_sampler }

// NewSampler is llama_sampler_chain_init.
func NewSampler() *Sampler {
	return &Sampler{p: C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())}
}

// Free is llama_sampler_free.
func (s *Sampler) Free() {
	C.llama_sampler_free(s.p)
	if s.grammar != nil {
		C.llama_sampler_free(s.grammar)
	}
}

// SchemaGrammar is json_schema_to_grammar: the grammar, in GBNF, of the JSON
// texts that a schema takes.
func SchemaGrammar(schema string) (string, error) {
	cschema := C.CString(schema)
	defer C.free(unsafe.Pointer(cschema))
	var out *C.char
	err := withErr(func(buf *C.char, n C.size_t) bool {
		out = C.cl_schema_grammar(cschema, buf, n)
		return out != nil
	})
	if err != nil {
		return "", err
	}
	defer C.free(unsafe.Pointer(out))
	return C.GoString(out), nil
}

// SetGrammar is llama_sampler_init_grammar with the rule "root".
func (s *Sampler) SetGrammar(m *Model, gbnf string) error {
	text, root := C.CString(gbnf), C.CString("root")
	defer C.free(unsafe.Pointer(text))
	defer C.free(unsafe.Pointer(root))
	if s.grammar = C.llama_sampler_init_grammar(m.vocab, text, root); s.grammar == nil {
		return fmt.Errorf("llama_sampler_init_grammar: the grammar does not parse")
	}
	return nil
}

func (s *Sampler) add(link *C.struct_llama_sampler) { C.llama_sampler_chain_add(s.p, link) }

// AddGreedy adds llama_sampler_init_greedy.
func (s *Sampler) AddGreedy() { s.add(C.llama_sampler_init_greedy()) }

// AddDist adds llama_sampler_init_dist.
func (s *Sampler) AddDist(seed uint32) { s.add(C.llama_sampler_init_dist(C.uint32_t(seed))) }

// AddTopK adds llama_sampler_init_top_k.
func (s *Sampler) AddTopK(k int) { s.add(C.llama_sampler_init_top_k(C.int32_t(k))) }

// AddTopP adds llama_sampler_init_top_p.
func (s *Sampler) AddTopP(p float32) { s.add(C.llama_sampler_init_top_p(C.float(p), 1)) }

// AddMinP adds llama_sampler_init_min_p.
func (s *Sampler) AddMinP(p float32) { s.add(C.llama_sampler_init_min_p(C.float(p), 1)) }

// AddTemp adds llama_sampler_init_temp.
func (s *Sampler) AddTemp(t float32) { s.add(C.llama_sampler_init_temp(C.float(t))) }

// AddPenalties adds llama_sampler_init_penalties over the last lastN tokens.
func (s *Sampler) AddPenalties(m *Model, lastN int, repeat, frequency, presence float32) {
	s.add(C.llama_sampler_init_penalties(C.int32_t(m.NTokens()), C.int32_t(lastN), C.float(repeat), C.float(frequency), C.float(presence)))
}

// AddLogitBias adds llama_sampler_init_logit_bias.
func (s *Sampler) AddLogitBias(m *Model, bias map[int32]float32) {
	if len(bias) == 0 {
		return
	}
	list := make([]C.llama_logit_bias, 0, len(bias))
	for tok, b := range bias {
		list = append(list, C.llama_logit_bias{token: C.llama_token(tok), bias: C.float(b)})
	}
	s.add(C.llama_sampler_init_logit_bias(C.int32_t(m.NTokens()), C.int32_t(len(list)), unsafe.SliceData(list)))
}

// Sample is llama_sampler_sample, or cl_sample with a grammar: it chooses the
// token that follows index i of the last batch, and accepts it into the chain.
func (s *Sampler) Sample(c *Context, i int) (int32, error) {
	if s.grammar == nil {
		return int32(C.llama_sampler_sample(s.p, c.p, C.int32_t(i))), nil
	}
	var tok C.llama_token
	err := withErr(func(buf *C.char, n C.size_t) bool {
		tok = C.cl_sample(s.grammar, s.p, c.p, C.int(i), buf, n)
		return tok >= 0
	})
	return int32(tok), err
}
