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
