package merge

import (
	"fmt"
	"strings"

	"cloister/llama/gguf"
)

// format is a type that ggml quantises to without an importance matrix.
type format struct {
	typ      gguf.Type
	fileType uint32    // general.file_type: llama.h's enum llama_ftype
	fallback gguf.Type // for rows that are no whole blocks, as in llama-quantize's tensor_type_fallback
}

var formats = []format{
	{gguf.F32, 0, gguf.F32}, {gguf.F16, 1, gguf.F16}, {gguf.BF16, 32, gguf.BF16},
	{gguf.Q8_0, 7, gguf.F16}, {gguf.Q4_0, 2, gguf.F16}, {gguf.Q4_1, 3, gguf.F16}, {gguf.Q5_0, 8, gguf.F16}, {gguf.Q5_1, 9, gguf.F16},
	{gguf.Q2_K, 10, gguf.Q4_0}, {gguf.Q3_K, 11, gguf.Q4_0}, {gguf.Q4_K, 14, gguf.Q5_0}, {gguf.Q5_K, 16, gguf.Q5_1}, {gguf.Q6_K, 18, gguf.Q8_0},
	{gguf.IQ4_NL, 25, gguf.F16}, {gguf.IQ4_XS, 30, gguf.IQ4_NL}, {gguf.MXFP4, 38, gguf.F16},
}

func formatOf(t gguf.Type) *format {
	for i := range formats {
		if formats[i].typ == t {
			return &formats[i]
		}
	}
	return nil
}

// Types that a model can be merged into, by name.
func Types() []string {
	var out []string
	for _, f := range formats {
		out = append(out, strings.ToLower(f.typ.String()))
	}
	return out
}

// ParseType finds a type by its name, such as "q8_0".
func ParseType(name string) (gguf.Type, error) {
	for _, f := range formats {
		if strings.EqualFold(f.typ.String(), name) {
			return f.typ, nil
		}
	}
	return 0, fmt.Errorf("no type %q to merge into; choose from %s", name, strings.Join(Types(), ", "))
}

// fitting is the type that rows of width values get when t is asked for.
func fitting(t gguf.Type, width uint64) gguf.Type {
	for width%uint64(t.BlockSize()) != 0 {
		t = formatOf(t).fallback // ends at F16, whose blocks have one value
	}
	return t
}

// below6Bits says whether llama-quantize would keep the output matrix at Q6_K
// beside this type, because that matrix suffers most.
func below6Bits(t gguf.Type) bool {
	return 8*t.TypeSize() < 6*t.BlockSize()
}

// Names of matrices that stay as they are when a type is asked for
// (llama-quantize's tensor_allows_quantization, for language models).
var untouched = []string{"_norm.weight", "ffn_gate_inp.weight", "position_embd", "token_types", "ssm_conv1d", "shortconv.conv.weight", "time_mix_", "altup", "laurel", "per_layer_model_proj", "attn_rel_b"}

// convertible says whether a tensor gets the type that was asked for.
func convertible(t *gguf.Tensor) bool {
	if len(t.Dims) < 2 || !strings.HasSuffix(t.Name, "weight") {
		return false
	}
	for _, part := range untouched {
		if strings.Contains(t.Name, part) {
			return false
		}
	}
	return true
}

// TypeFor is the type that a tensor gets in a file of the type want, as
// llama-quantize would choose: its own for norms, biases and routers, another
// where rows are no whole blocks of want (exact is then false), and Q6_K for a
// spared tensor, which is the output matrix, where want has fewer bits.
func TypeFor(t *gguf.Tensor, want gguf.Type, spared bool) (typ gguf.Type, exact bool) {
	if !convertible(t) {
		return t.Type, true
	}
	if spared && below6Bits(want) {
		want = gguf.Q6_K
	}
	typ = fitting(want, t.Dims[0])
	return typ, typ == want
}

// WithType is a model's metadata with the type of its matrices.
func WithType(kv []gguf.KV, typ gguf.Type) []gguf.KV {
	set := map[string]any{"general.file_type": formatOf(typ).fileType}
	if typ.BlockSize() > 1 {
		set["general.quantization_version"] = uint32(2) // GGML_QNT_VERSION
	}
	var out []gguf.KV
	for _, e := range kv {
		if v, ok := set[e.Key]; ok {
			e.Value = v
			delete(set, e.Key)
		}
		out = append(out, e)
	}
	for _, key := range []string{"general.file_type", "general.quantization_version"} {
		if v, ok := set[key]; ok {
			out = append(out, gguf.KV{Key: key, Value: v})
		}
	}
	return out
}
