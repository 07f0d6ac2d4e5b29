// Package capi is the only cgo over llama.cpp. It holds no opinions: a method
// is one function of llama.h (named after it) or of shim.h. Nothing here is
// safe for concurrent use unless it says so; memory that C owns is marked
// "valid until".
package capi

/*
#cgo CFLAGS: -I${SRCDIR}/../../../third_party/native/include
#cgo CXXFLAGS: -std=c++17 -I${SRCDIR}/../../../third_party/native/include
#cgo LDFLAGS: -L${SRCDIR}/../../../third_party/native/lib -Wl,--start-group -lllama-common -lllama-common-base -lcpp-httplib -lllama -lggml -lggml-cpu -lggml-base -Wl,--end-group -lstdc++ -lm -lpthread
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"
)

const errLen = 1024

var initOnce sync.Once

// withErr calls f with a buffer for an error text, and returns that text, in one
// line, as an error when f reports failure.
func withErr(f func(buf *C.char, n C.size_t) bool) error {
	buf := (*C.char)(C.calloc(errLen, 1))
	defer C.free(unsafe.Pointer(buf))
	if f(buf, errLen) {
		return nil
	}
	return errors.New(strings.ReplaceAll(strings.TrimSpace(C.GoString(buf)), "\n", "; "))
}

// Model is a llama_model. Its tokenizer methods are safe for concurrent use.
type Model struct {
	p     *C.struct_llama_model
	vocab *C.struct_llama_vocab
}

// LoadModel is llama_model_load_from_file, with mmap, or from an offset in bytes
// on llama_model_load_from_file_ptr; -1 is a file of its own. vocabOnly leaves
// the weights out.
func LoadModel(path string, offset int64, vocabOnly bool, where Offload) (*Model, error) {
	initOnce.Do(func() { C.cl_init() })
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	place, free := where.c()
	defer free()
	m := new(Model)
	err := withErr(func(buf *C.char, n C.size_t) bool {
		m.p = C.cl_model_load(cpath, C.int64_t(offset), C.bool(vocabOnly), place, buf, n)
		return m.p != nil
	})
	if err != nil {
		return nil, err
	}
	m.vocab = C.llama_model_get_vocab(m.p)
	return m, nil
}

// Free is llama_model_free. It frees the model's adapters too.
func (m *Model) Free() { C.llama_model_free(m.p) }

// Desc is llama_model_desc.
func (m *Model) Desc() string {
	var buf [256]C.char
	C.llama_model_desc(m.p, &buf[0], C.size_t(len(buf)))
	return C.GoString(&buf[0])
}

// NParams is llama_model_n_params.
func (m *Model) NParams() int64 { return int64(C.llama_model_n_params(m.p)) }

// Size is llama_model_size, in bytes.
func (m *Model) Size() int64 { return int64(C.llama_model_size(m.p)) }

// NCtxTrain is llama_model_n_ctx_train, in tokens.
func (m *Model) NCtxTrain() int { return int(C.llama_model_n_ctx_train(m.p)) }

// Meta is llama_model_meta_val_str; ok is false when the model has no such key.
func (m *Model) Meta(key string) (value string, ok bool) {
	ckey := C.CString(key)
	defer C.free(unsafe.Pointer(ckey))
	var buf [1024]C.char
	if C.llama_model_meta_val_str(m.p, ckey, &buf[0], C.size_t(len(buf))) < 0 {
		return "", false
	}
	return C.GoString(&buf[0]), true
}

// NTokens is llama_vocab_n_tokens. Zero means that the file has no tokenizer.
func (m *Model) NTokens() int { return int(C.llama_vocab_n_tokens(m.vocab)) }

// BOS is llama_vocab_bos, or -1.
func (m *Model) BOS() int32 { return int32(C.llama_vocab_bos(m.vocab)) }

// EOS is llama_vocab_eos, or -1.
func (m *Model) EOS() int32 { return int32(C.llama_vocab_eos(m.vocab)) }

// EOT is llama_vocab_eot, or -1.
func (m *Model) EOT() int32 { return int32(C.llama_vocab_eot(m.vocab)) }

// AddBOS is llama_vocab_get_add_bos.
func (m *Model) AddBOS() bool { return bool(C.llama_vocab_get_add_bos(m.vocab)) }

// IsEOG is llama_vocab_is_eog.
func (m *Model) IsEOG(tok int32) bool {
	return bool(C.llama_vocab_is_eog(m.vocab, C.llama_token(tok)))
}

// Tokenize is llama_tokenize without BOS and EOS. parseSpecial turns the text
// of control tokens into those tokens.
func (m *Model) Tokenize(text string, parseSpecial bool) ([]int32, error) {
	if text == "" {
		return nil, nil
	}
	ctext := C.CString(text)
	defer C.free(unsafe.Pointer(ctext))
	out := make([]int32, len(text)+8)
	for {
		n := C.llama_tokenize(m.vocab, ctext, C.int32_t(len(text)), (*C.llama_token)(&out[0]), C.int32_t(len(out)), false, C.bool(parseSpecial))
		switch {
		case n >= 0:
			return out[:n], nil
		case int(-n) <= len(out): // INT32_MIN, too long
			return nil, fmt.Errorf("llama_tokenize: %d bytes of text are too many", len(text))
		}
		out = make([]int32, -n)
	}
}

// TokenToPiece is llama_token_to_piece: the bytes of one token. special renders
// control tokens, which are empty otherwise.
func (m *Model) TokenToPiece(tok int32, special bool) []byte {
	buf := make([]byte, 64)
	for {
		n := C.llama_token_to_piece(m.vocab, C.llama_token(tok), (*C.char)(unsafe.Pointer(&buf[0])), C.int32_t(len(buf)), 0, C.bool(special))
		if n >= 0 {
			return buf[:n]
		}
		buf = make([]byte, -n)
	}
}

// Adapter is a llama_adapter_lora, valid until Free or the end of its model.
type Adapter struct{ p *C.struct_llama_adapter_lora }

// LoadAdapter is llama_adapter_lora_init_from_file_ptr, at an offset in bytes.
func (m *Model) LoadAdapter(path string, offset int64) (*Adapter, error) {
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	a := new(Adapter)
	err := withErr(func(buf *C.char, n C.size_t) bool {
		a.p = C.cl_adapter_load(m.p, cpath, C.int64_t(offset), buf, n)
		return a.p != nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Free is llama_adapter_lora_free.
func (a *Adapter) Free() { C.llama_adapter_lora_free(a.p) }

// Templates is a common_chat_templates. Apply is safe for concurrent use.
type Templates struct{ p *C.cl_templates }

// NewTemplates is common_chat_templates_init with the model's own template.
func (m *Model) NewTemplates() (*Templates, error) {
	t := new(Templates)
	err := withErr(func(buf *C.char, n C.size_t) bool {
		t.p = C.cl_templates_new(m.p, buf, n)
		return t.p != nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Free ends the templates.
func (t *Templates) Free() { C.cl_templates_free(t.p) }

// Apply is common_chat_templates_apply on a JSON array of messages in OpenAI's form.
func (t *Templates) Apply(messagesJSON string, addGenerationPrompt bool) (string, error) {
	cmsgs := C.CString(messagesJSON)
	defer C.free(unsafe.Pointer(cmsgs))
	var out *C.char
	var n C.size_t
	err := withErr(func(buf *C.char, l C.size_t) bool {
		out = C.cl_templates_apply(t.p, cmsgs, C.bool(addGenerationPrompt), &n, buf, l)
		return out != nil
	})
	if err != nil {
		return "", err
	}
	defer C.free(unsafe.Pointer(out))
	return C.GoStringN(out, C.int(n)), nil
}
