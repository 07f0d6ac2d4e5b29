package peft_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/peft"
)

const (
	prefix = "base_model.model.model.layers.0.self_attn.v_proj."
	plain  = `{"peft_type":"LORA","r":2,"lora_alpha":4}`
)

func vPair() []entry {
	return []entry{{prefix + "lora_A.weight", "F32", 2, 32, values(gguf.F32, 2, 32)}, {prefix + "lora_B.weight", "F32", 16, 2, values(gguf.F32, 16, 2)}}
}

// What GGUF cannot say, and what does not fit the base, is refused by name.
func TestImportRefuses(t *testing.T) {
	f := base(t, nil)
	with := func(extra ...entry) []byte { return archive(append(vPair(), extra...)...) }
	config := func(key, value string) string { return plain[:len(plain)-1] + `,"` + key + `":` + value + "}" }
	one := func(name string) entry { return entry{name, "F32", 1, 1, values(gguf.F32, 1, 1)} }
	for _, tt := range []struct {
		name, config string
		weights      []byte
		want         string
	}{
		{"dora", config("use_dora", "true"), with(), "DoRA"},
		{"dora tensors", plain, with(one(prefix + "lora_magnitude_vector.weight")), "DoRA"},
		{"bias", config("bias", `"all"`), with(), "trained biases"},
		{"bias tensor", plain, with(one("base_model.model.model.layers.0.self_attn.v_proj.bias")), "a trained bias"},
		{"modules_to_save", config("modules_to_save", `["lm_head"]`), with(), "modules trained in full"},
		{"saved head", plain, with(one("base_model.model.lm_head.weight")), "a trained output matrix"},
		{"embeddings", plain, with(one("base_model.model.model.embed_tokens.lora_embedding_A")), "an adapter of embeddings"},
		{"saved embeddings", plain, with(one("base_model.model.model.embed_tokens.weight")), "trained embeddings"},
		{"tokens", config("trainable_token_indices", "[1]"), with(), "trained embeddings"},
		{"aLoRA", config("alora_invocation_tokens", "[1,2]"), with(), "activated LoRA"},
		{"new kind", config("use_tomorrow", "true"), with(), "use_tomorrow"},
		{"pissa", config("init_lora_weights", `"pissa"`), with(), `"pissa"`},
		{"other kind", `{"peft_type":"IA3"}`, with(), "IA3"},
		{"not JSON", `{"peft_type"`, with(), peft.ConfigFile},
		{"twice", `{"peft_type":"LORA","peft_type":"LORA"}`, with(), "twice"},
		{"odd pattern", config("rank_pattern", `{"(?<=q)":2}`), with(), "pattern"},
		{"alpha 0", `{"peft_type":"LORA","r":2,"lora_alpha":0}`, with(), "lora_alpha is 0"},
		{"other rank", `{"peft_type":"LORA","r":3,"lora_alpha":4}`, with(), "has rank 2, and the configuration says 3"},
		{"one of two", plain, archive(vPair()[0]), "only one of its two matrices"},
		{"none", plain, archive(), "no matrices"},
		{"ranks", plain, archive(vPair()[0], entry{prefix + "lora_B.weight", "F32", 16, 3, values(gguf.F32, 16, 3)}), "A of rank 2 and B of rank 3"},
		{"other model", plain, archive(vPair()[0], entry{prefix + "lora_B.weight", "F32", 8, 2, values(gguf.F32, 8, 2)}), "another model"},
		{"other layer", plain, with(one("base_model.model.model.layers.2.self_attn.v_proj.lora_A.weight")), "layer 2 of a base model of 2 layers"},
		{"other module", plain, with(one("base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight")), "self_attn.qkv_proj"},
		{"head", plain, with(one("base_model.model.lm_head.lora_A.weight")), "lm_head"},
		{"the same twice", plain, with(one("model.layers.0.self_attn.v_proj.lora_A.weight")), "the same matrix"},
		{"odd type", plain, archive(entry{prefix + "lora_A.weight", "F8_E4M3", 2, 32, make([]byte, 64)}, vPair()[1]), "F8_E4M3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := peft.Open(folder(t, tt.config, tt.weights), f); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := peft.Open(folder(t, plain, with()), as("mamba", 1, qwen)); !errors.Is(err, peft.ErrArchitecture) {
		t.Errorf("another architecture: %v", err)
	}
	if _, err := peft.Open(t.TempDir(), f); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), peft.ConfigFile) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestExportRefuses(t *testing.T) {
	f := base(t, nil)
	dir := filepath.Join(t.TempDir(), "out")
	other := adapter(f, always(2), "attn_v")
	other.Architecture = "qwen2"
	wide := adapter(base(t, func(c *tinygguf.Config) { c.FFN = 96 }), always(2), "ffn_down")
	embedding := adapter(f, always(2), "attn_v")
	for i, letter := range []string{"a", "b"} {
		embedding.Tensors[i].Name = "token_embd.weight.lora_" + letter
	}
	for want, err := range map[string]error{
		`architecture "qwen2"`: peft.Export(other, f, dir),
		"another model":        peft.Export(wide, f, dir),
		"token_embd.weight":    peft.Export(embedding, f, dir),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was left: %v", err)
	}
}

// A file that ends early, at any byte, or lies about its lengths gets an error.
func TestHostile(t *testing.T) {
	good := archive(vPair()...)
	if _, err := peft.ReadAll(good); err != nil {
		t.Fatal(err)
	}
	for n := range len(good) {
		if _, err := peft.ReadAll(good[:n]); !errors.Is(err, peft.ErrSafetensors) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(good), err)
		}
	}
	raw := func(header string, data int) []byte {
		out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		return append(append(out, header...), make([]byte, data)...)
	}
	for name, b := range map[string][]byte{
		"an endless header": binary.LittleEndian.AppendUint64(nil, 1<<62),
		"no object":         raw(`[]`, 0),
		"something behind":  raw(`{}{}`, 0),
		"a name twice":      raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
		"overlap":           raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
		"a gap":             raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"data left over":    raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 8),
		"a huge shape":      raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}`, 4),
		"a product of 0":    raw(`{"a":{"dtype":"F32","shape":[0,4294967296,4294967296,8],"data_offsets":[0,4]}}`, 4),
		"a negative shape":  raw(`{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, 4),
		"huge offsets":      raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]}}`, 4),
		"negative offsets":  raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 4),
		"one offset":        raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}}`, 4),
		"other fields":      raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4),
	} {
		if _, err := peft.ReadAll(b); !errors.Is(err, peft.ErrSafetensors) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzSafetensors(f *testing.F) {
	good := archive(vPair()...)
	f.Add(good)
	f.Add(good[:50])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := peft.ReadAll(b)
		n := 0
		for _, v := range got {
			n += len(v)
		}
		if err == nil && 2*n > len(b) {
			t.Fatalf("%d values out of %d bytes", n, len(b))
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte(`{"peft_type":"LORA","r":2,"rank_pattern":{"q":2},"alpha_pattern":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := peft.ParseConfig(b, "model.layers.0.self_attn.q_proj", 2); err == nil && !(s > 0 || s < 0) {
			t.Fatalf("scale %g", s)
		}
	})
}
