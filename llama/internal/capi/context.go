package capi

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Context is a llama_context. One goroutine at a time may use it.
type Context struct {
	p      *C.struct_llama_context
	model  *Model
	batch  C.struct_llama_batch
	nBatch int
}

// Size of a Context: Tokens in all, shared out to Sequences; at most Batch
// tokens in one Decode. Exact keeps keys and values in float32, without flash
// attention, which is used otherwise where the devices have it.
type Size struct {
	Tokens, Batch, Sequences, Threads int
	Exact                             bool
}

func (s Size) c() C.cl_context_size {
	return C.cl_context_size{n_ctx: C.uint(s.Tokens), n_batch: C.uint(s.Batch), n_seq: C.uint(s.Sequences), threads: C.int(s.Threads), exact: C.bool(s.Exact)}
}

// NewContext is llama_init_from_model.
func (m *Model) NewContext(s Size) (*Context, error) {
	c := &Context{model: m, nBatch: s.Batch}
	err := withErr(func(buf *C.char, n C.size_t) bool {
		c.p = C.cl_context_new(m.p, s.c(), buf, n)
		return c.p != nil
	})
	if err != nil {
		return nil, err
	}
	c.batch = C.llama_batch_init(C.int32_t(s.Batch), 0, 1)
	return c, nil
}

// Free is llama_free.
func (c *Context) Free() {
	C.llama_batch_free(c.batch)
	C.llama_free(c.p)
}

// NCtxSeq is llama_n_ctx_seq: the tokens that one sequence can hold.
func (c *Context) NCtxSeq() int { return int(C.llama_n_ctx_seq(c.p)) }

// BatchClear empties the batch.
func (c *Context) BatchClear() { c.batch.n_tokens = 0 }

// BatchLen is the number of tokens in the batch.
func (c *Context) BatchLen() int { return int(c.batch.n_tokens) }

// BatchAdd appends a token at a position of a sequence and returns its index
// in the batch. logits asks for its row of logits. The batch must have room.
func (c *Context) BatchAdd(tok, pos int32, seq int, logits bool) int {
	i := int(c.batch.n_tokens)
	if i >= c.nBatch {
		panic("capi: the batch is full") // a fault of the scheduler, never of input
	}
	unsafe.Slice(c.batch.token, c.nBatch)[i] = C.llama_token(tok)
	unsafe.Slice(c.batch.pos, c.nBatch)[i] = C.llama_pos(pos)
	unsafe.Slice(c.batch.n_seq_id, c.nBatch)[i] = 1
	unsafe.Slice(unsafe.Slice(c.batch.seq_id, c.nBatch)[i], 1)[0] = C.llama_seq_id(seq)
	var flag C.int8_t
	if logits {
		flag = 1
	}
	unsafe.Slice(c.batch.logits, c.nBatch)[i] = flag
	c.batch.n_tokens++
	return i
}

// Decode is llama_decode on the batch.
func (c *Context) Decode() error {
	switch rc := C.llama_decode(c.p, c.batch); {
	case rc == 0:
		return nil
	case rc == 1:
		return fmt.Errorf("llama_decode: no room in the key-value cache for %d tokens", c.batch.n_tokens)
	case rc == -2:
		return fmt.Errorf("%w with code -2: a device has no memory left for this step", ErrFatal)
	default:
		return fmt.Errorf("%w with code %d", ErrFatal, rc)
	}
}

// ErrFatal is wrapped in errors of Decode after which the context is not to be
// trusted, such as of a device that failed.
var ErrFatal = errors.New("llama_decode failed")

// LogitsIth is llama_get_logits_ith for an index that BatchAdd returned:
// one value for each token of the vocabulary, valid until the next Decode.
func (c *Context) LogitsIth(i int) []float32 {
	p := C.llama_get_logits_ith(c.p, C.int32_t(i))
	if p == nil {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), c.model.NTokens())
}

// Likeliest is cl_likeliest: the first of the tokens with the highest logit at
// an index that BatchAdd returned, -1 where there are no logits.
func (c *Context) Likeliest(i int) int32 { return int32(C.cl_likeliest(c.p, C.int(i))) }

// MemorySeqRm is llama_memory_seq_rm: removes positions from p0 on. false means
// that this kind of memory cannot be cut there.
func (c *Context) MemorySeqRm(seq, p0 int) bool {
	return bool(C.llama_memory_seq_rm(C.llama_get_memory(c.p), C.llama_seq_id(seq), C.llama_pos(p0), -1))
}

// SetAdapter is llama_set_adapters_lora with one adapter at scale 1, or none when a is nil.
func (c *Context) SetAdapter(a *Adapter) error {
	if a == nil {
		if rc := C.llama_set_adapters_lora(c.p, nil, 0, nil); rc != 0 {
			return fmt.Errorf("llama_set_adapters_lora failed with code %d", rc)
		}
		return nil
	}
	p, scale := a.p, C.float(1)
	if rc := C.llama_set_adapters_lora(c.p, &p, 1, &scale); rc != 0 {
		return fmt.Errorf("llama_set_adapters_lora failed with code %d", rc)
	}
	return nil
}
