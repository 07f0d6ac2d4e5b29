package peft_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/model"
	"cloister/lora/peft"
	"cloister/lora/train"
)

// base writes a tiny model and opens it.
func base(t testing.TB, change func(*tinygguf.Config)) *gguf.File {
	t.Helper()
	c := tinygguf.Default()
	if change != nil {
		change(&c)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// as is the base with another architecture's name and tensors of these shapes.
func as(architecture string, layers int, shapes map[string][2]uint64) *gguf.File {
	kv := []gguf.KV{{Key: "general.architecture", Value: architecture}, {Key: architecture + ".block_count", Value: uint32(layers)}}
	var tensors []gguf.Tensor
	for l := range layers {
		for _, name := range slices.Sorted(maps.Keys(shapes)) {
			s := shapes[name]
			tensors = append(tensors, gguf.Tensor{Name: fmt.Sprintf("blk.%d.%s.weight", l, name), Dims: s[:], Data: make([]byte, 4*s[0]*s[1])})
		}
	}
	return written(kv, tensors)
}

// written is the file that this content makes.
func written(kv []gguf.KV, tensors []gguf.Tensor) *gguf.File {
	var b strings.Builder
	if err := gguf.Write(&b, kv, tensors); err != nil {
		panic(err)
	}
	f, err := gguf.Read(strings.NewReader(b.String()), int64(b.Len()))
	if err != nil {
		panic(err)
	}
	return f
}

// adapter is a random adapter of the matrices of f that targets name.
func adapter(f *gguf.File, rank func(tensor string) int, targets ...string) *train.Adapter {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(rng.NormFloat64())
		}
		return out
	}
	a := &train.Adapter{Alpha: 6, Rank: -1}
	a.Architecture, _ = f.String("general.architecture")
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if !strings.HasPrefix(t.Name, "blk.") || len(t.Dims) != 2 || !slices.ContainsFunc(targets, func(s string) bool { return strings.Contains(t.Name, s) }) {
			continue
		}
		r, in, out := rank(t.Name), int(t.Dims[0]), int(t.Dims[1])
		switch a.Rank {
		case -1, r:
			a.Rank = r
		default:
			a.Rank = 0
		}
		a.Tensors = append(a.Tensors, train.AdapterTensor{Name: t.Name + ".lora_a", Rows: r, Cols: in, Data: random(r * in)},
			train.AdapterTensor{Name: t.Name + ".lora_b", Rows: out, Cols: r, Data: random(out * r)})
	}
	return a
}

func always(r int) func(string) int { return func(string) int { return r } }

func same(t *testing.T, got, want *train.Adapter) {
	t.Helper()
	if got.Architecture != want.Architecture || got.Rank != want.Rank || math.Abs(got.Alpha-want.Alpha) > 1e-6 || len(got.Tensors) != len(want.Tensors) {
		t.Fatalf("got %s, rank %d, alpha %g, %d tensors; want %s, %d, %g, %d", got.Architecture, got.Rank, got.Alpha, len(got.Tensors), want.Architecture, want.Rank, want.Alpha, len(want.Tensors))
	}
	for i, w := range want.Tensors {
		if g := got.Tensors[i]; g.Name != w.Name || g.Rows != w.Rows || g.Cols != w.Cols || !slices.Equal(g.Data, w.Data) {
			t.Errorf("tensor %d: %s %dx%d, want %s %dx%d, or other values", i, g.Name, g.Rows, g.Cols, w.Name, w.Rows, w.Cols)
		}
	}
}

var (
	all   = []string{"attn_", "ffn_"}
	phi   = map[string][2]uint64{"attn_qkv": {32, 64}, "attn_output": {32, 32}, "ffn_up": {32, 128}, "ffn_down": {64, 32}}
	qwen  = map[string][2]uint64{"attn_q": {32, 32}, "attn_k": {32, 16}, "attn_v": {32, 16}, "attn_output": {32, 32}, "ffn_gate": {32, 64}, "ffn_up": {32, 64}, "ffn_down": {64, 32}}
	mixed = func(name string) int { return 2 + strings.Count(name, "attn_k") + strings.Count(name, "blk.1.ffn_up") }
)

// What is exported is imported as it was, for each architecture and with pairs
// of different ranks; only q and k of llama have moved rows.
func TestRoundTrip(t *testing.T) {
	llama := base(t, nil)
	for _, tt := range []struct {
		name    string
		base    *gguf.File
		rank    func(string) int
		targets []string
		modules string // target_modules
	}{
		{"llama", llama, always(3), all, "down_proj gate_proj k_proj o_proj q_proj up_proj v_proj"},
		{"llama, mixed ranks", llama, mixed, all, "down_proj gate_proj k_proj o_proj q_proj up_proj v_proj"},
		{"llama, some layers", llama, always(3), []string{"attn_q", "blk.1.ffn_down"}, "model.layers.0.self_attn.q_proj model.layers.1.mlp.down_proj model.layers.1.self_attn.q_proj"},
		{"qwen2", as("qwen2", 2, qwen), always(3), all, "down_proj gate_proj k_proj o_proj q_proj up_proj v_proj"},
		{"qwen3", as("qwen3", 2, qwen), always(3), []string{"attn_v"}, "v_proj"},
		{"gemma3", as("gemma3", 2, qwen), always(3), all, "down_proj gate_proj k_proj o_proj q_proj up_proj v_proj"},
		{"gemma3 that sees pictures", as("gemma3", 34, map[string][2]uint64{"attn_v": {32, 16}}), always(1), []string{".1.attn_v"},
			"model.language_model.layers.1.self_attn.v_proj"},
		{"phi3", as("phi3", 2, phi), always(3), all, "down_proj gate_up_proj o_proj qkv_proj"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, want := filepath.Join(t.TempDir(), "out"), adapter(tt.base, tt.rank, tt.targets...)
			if err := peft.Export(want, tt.base, dir); err != nil {
				t.Fatal(err)
			}
			got, err := peft.Open(dir, tt.base)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, want)
			text, c := configOf(t, dir)
			if modules := strings.Trim(fmt.Sprint(c["target_modules"]), "[]"); modules != tt.modules {
				t.Errorf("target_modules: %s", modules)
			}
			if strings.Contains(text, t.TempDir()) || c["base_model_name_or_path"] != nil {
				t.Errorf("the configuration names a path:\n%s", text)
			}
			moved := 0
			raw, err := peft.ReadAll(read(t, filepath.Join(dir, peft.WeightsFile)))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range want.Pairs() {
				if !slices.ContainsFunc(slices.Collect(maps.Values(raw)), func(v []float32) bool { return slices.Equal(v, p.B.Data) }) {
					moved++
					if !strings.Contains(p.Tensor, "attn_q") && !strings.Contains(p.Tensor, "attn_k") {
						t.Errorf("rows of %s have moved", p.Tensor)
					}
				}
			}
			if permuted := tt.base == llama; permuted != (moved > 0) {
				t.Errorf("%d matrices have moved rows", moved)
			}
			if err := peft.Export(want, tt.base, dir); err == nil {
				t.Error("an adapter was written over")
			}
		})
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func configOf(t testing.TB, dir string) (string, map[string]any) {
	t.Helper()
	var c map[string]any
	b := read(t, filepath.Join(dir, peft.ConfigFile))
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return string(b), c
}

// Rows of a head: halves become neighbours (lora.md), heads stay where they are.
func TestPermute(t *testing.T) {
	theirs := []float32{0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17} // two heads of four rows of two
	ours, err := peft.Permute(theirs, 8, 2, 2, false)
	if want := []float32{0, 1, 4, 5, 2, 3, 6, 7, 10, 11, 14, 15, 12, 13, 16, 17}; err != nil || !slices.Equal(ours, want) {
		t.Errorf("got %v (%v), want %v", ours, err, want)
	}
	if back, err := peft.Permute(ours, 8, 2, 2, true); err != nil || !slices.Equal(back, theirs) {
		t.Errorf("back: %v (%v)", back, err)
	}
	for _, heads := range []int{3, 8} {
		if _, err := peft.Permute(theirs, 8, 2, heads, false); err == nil {
			t.Errorf("8 rows of %d heads were permuted", heads)
		}
	}
}

// Scales as PEFT computes them.
func TestScale(t *testing.T) {
	for _, tt := range []struct {
		config string
		rank   int
		want   float64
	}{
		{`{"peft_type":"LORA","r":4,"lora_alpha":8}`, 4, 2},
		{`{"peft_type":"LORA","r":4,"lora_alpha":8,"use_rslora":true}`, 4, 4},
		{`{"peft_type":"LORA","r":4,"lora_alpha":8,"rank_pattern":{"k_proj":1,"q_proj":2}}`, 2, 4},
		{`{"peft_type":"LORA","r":4,"lora_alpha":8,"rank_pattern":{"layers.0.*":2,"q_proj":16}}`, 2, 4}, // the first that fits
		{`{"peft_type":"LORA","r":4,"lora_alpha":8,"alpha_pattern":{"proj":1,"model.layers.0.self_attn.q_proj":2}}`, 4, 0.5},
		{`{"peft_type":"LORA"}`, 8, 1},
	} {
		got, err := peft.ParseConfig([]byte(tt.config), "model.layers.0.self_attn.q_proj", tt.rank)
		if err != nil || got != tt.want {
			t.Errorf("%s: %g (%v), want %g", tt.config, got, err, tt.want)
		}
	}
}

// folder writes a PEFT folder with this configuration and the tensors of another one.
func folder(t testing.TB, config string, weights []byte) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(os.WriteFile(filepath.Join(dir, peft.ConfigFile), []byte(config), 0o600), os.WriteFile(filepath.Join(dir, peft.WeightsFile), weights, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// archive is a safetensors file with these tensors, in order.
func archive(tensors ...entry) []byte {
	var header strings.Builder
	header.WriteString("{")
	at := 0
	var data []byte
	for i, e := range tensors {
		if i > 0 {
			header.WriteString(",")
		}
		fmt.Fprintf(&header, `%q:{"dtype":%q,"shape":[%d,%d],"data_offsets":[%d,%d]}`, e.name, e.dtype, e.rows, e.cols, at, at+len(e.data))
		at += len(e.data)
		data = append(data, e.data...)
	}
	header.WriteString("}")
	out := binary.LittleEndian.AppendUint64(nil, uint64(header.Len()))
	return append(append(out, header.String()...), data...)
}

type entry struct {
	name, dtype string
	rows, cols  int
	data        []byte
}

// values are the bytes of a matrix of ones and twos in a type.
func values(typ gguf.Type, rows, cols int) []byte {
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(1 + i%2)
	}
	b, err := tinygguf.Quantise(typ, x)
	if err != nil {
		panic(err)
	}
	return b
}

// Names with and without ".default" and the wrapper's prefix, half precision,
// and a scale for each matrix: what one alpha cannot say is in B.
func TestImport(t *testing.T) {
	f := base(t, nil)
	weights := archive(
		entry{"base_model.model.model.layers.0.self_attn.v_proj.lora_A.default.weight", "F16", 2, 32, values(gguf.F16, 2, 32)},
		entry{"base_model.model.model.layers.0.self_attn.v_proj.lora_B.default.weight", "BF16", 16, 2, values(gguf.BF16, 16, 2)},
		entry{"model.layers.1.mlp.up_proj.lora_A.weight", "F32", 1, 32, values(gguf.F32, 1, 32)},
		entry{"model.layers.1.mlp.up_proj.lora_B.weight", "F32", 64, 1, values(gguf.F32, 64, 1)},
	)
	a, err := peft.Open(folder(t, `{"peft_type":"LORA","r":2,"lora_alpha":3,"use_rslora":true,"rank_pattern":{"up_proj":1},"alpha_pattern":{"up_proj":7},"bias":"none","use_dora":false,"modules_to_save":null}`, weights), f)
	if err != nil {
		t.Fatal(err)
	}
	pairs := a.Pairs()
	if len(pairs) != 2 || pairs[0].Tensor != "blk.0.attn_v.weight" || pairs[1].Tensor != "blk.1.ffn_up.weight" || a.Rank != 0 {
		t.Fatalf("%d pairs, rank %d", len(pairs), a.Rank)
	}
	for i, want := range []float64{3 / math.Sqrt2, 7} {
		p := &pairs[i]
		if got := a.Alpha / float64(p.Rank()) * float64(p.B.Data[0]); math.Abs(got/want-1) > 1e-6 || p.A.Data[1] != 2 {
			t.Errorf("%s: scale %g, want %g", p.Tensor, got, want)
		}
	}
	// A GGUF file of the same content is opened as well.
	path := filepath.Join(t.TempDir(), "a.gguf")
	if err := a.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	again, err := peft.Open(path, f)
	if err != nil {
		t.Fatal(err)
	}
	same(t, again, a)
}

// What can be trained can be exported.
func TestArchitectures(t *testing.T) {
	if ours := model.Architectures(); !slices.Equal(peft.Architectures(), ours) {
		t.Errorf("PEFT names for %v; %v can be trained", peft.Architectures(), ours)
	}
}
