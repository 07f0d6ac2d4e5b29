package peft

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"cloister/llama/gguf"
	"cloister/lora/train"
)

// Names of the files in a folder: PEFT's, and that of ExportGGUF.
const (
	ConfigFile  = "adapter_config.json"
	WeightsFile = "adapter_model.safetensors"
	GGUFFile    = "adapter.gguf"
)

// maxConfig bounds adapter_config.json; real ones have some 1,500 bytes.
const maxConfig = 1 << 20

// Open reads an adapter for a base model: a folder that PEFT saved, or a GGUF
// adapter of any program. The adapter is checked against the base.
func Open(path string, baseModel *gguf.File) (*train.Adapter, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return Import(path, baseModel)
	}
	a, err := train.ReadAdapter(path)
	if err != nil {
		return nil, err
	}
	if err := Check(a, baseModel); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// Check says whether an adapter was made for this base: the same architecture,
// and each pair as large as the tensor that it changes.
func Check(a *train.Adapter, baseModel *gguf.File) error {
	b := &base{file: baseModel}
	if arch, _ := baseModel.String("general.architecture"); arch != a.Architecture {
		return fmt.Errorf("it is an adapter for the architecture %q; the base model is %q", a.Architecture, arch)
	}
	for _, p := range a.Pairs() {
		if !ggufName.MatchString(p.Tensor) {
			return fmt.Errorf("it changes %s; adapters of the matrices inside layers are supported", shorten(p.Tensor))
		}
		if err := b.fits(p.Tensor, p.A.Cols, p.B.Rows); err != nil {
			return err
		}
	}
	return nil
}

// Import reads a folder that PEFT saved as an adapter for a base model.
func Import(dir string, baseModel *gguf.File) (*train.Adapter, error) {
	a, err := importFrom(dir, baseModel)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return a, nil
}

func importFrom(dir string, baseModel *gguf.File) (*train.Adapter, error) {
	b, err := baseOf(baseModel)
	if err != nil {
		return nil, err
	}
	raw, err := readBounded(filepath.Join(dir, ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it has no %s: %w", ConfigFile, err)
	} else if err != nil {
		return nil, err
	}
	c, err := parseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	f, err := os.Open(filepath.Join(dir, WeightsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it has no %s; save the adapter with safe_serialization=True: %w", WeightsFile, err)
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	weights, err := openArchive(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", WeightsFile, err)
	}
	a, err := b.convert(c, weights)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", WeightsFile, err)
	}
	return a, nil
}

// readBounded reads a small file.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxConfig {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", filepath.Base(path), info.Size(), maxConfig)
	}
	return os.ReadFile(path)
}

// pair is the two tensors of a module; index 0 is A, 1 is B.
type pair struct {
	module string
	tensor [2]*tensor
}

var weightName = regexp.MustCompile(`^(?:base_model\.model\.)?(.+)\.lora_(A|B)(?:\.default)?\.weight$`)

// convert makes a GGUF adapter of the tensors of a PEFT folder.
func (b *base) convert(c *config, weights *archive) (*train.Adapter, error) {
	pairs := map[string]*pair{} // by GGUF's name of the matrix
	for i := range weights.tensors {
		t := &weights.tensors[i]
		m := weightName.FindStringSubmatch(t.Name)
		if m == nil {
			return nil, fmt.Errorf("the tensor %s: %s cannot be expressed in a GGUF adapter", shorten(t.Name), kindOf(t.Name))
		}
		name, err := b.tensor(m[1])
		if err != nil {
			return nil, err
		}
		if pairs[name] == nil {
			pairs[name] = &pair{module: m[1]}
		}
		p, at := pairs[name], int(m[2][0]-'A')
		if p.tensor[at] != nil {
			return nil, fmt.Errorf("%s and %s are the same matrix", shorten(p.tensor[at].Name), shorten(t.Name))
		}
		if len(t.Shape) != 2 {
			return nil, fmt.Errorf("the tensor %s has the shape %v; a matrix is needed", shorten(t.Name), t.Shape)
		}
		p.tensor[at] = t
	}
	if len(pairs) == 0 {
		return nil, errors.New("it holds no matrices")
	}
	out := &train.Adapter{Architecture: b.architecture, Rank: -1}
	for _, name := range b.order(pairs) {
		if err := b.add(out, name, pairs[name], c, weights); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// kindOf says what a tensor is that is no matrix of a linear layer's adapter.
func kindOf(name string) string {
	for _, k := range []struct{ part, what string }{
		{"lora_magnitude_vector", "DoRA"}, {"lora_embedding_", "an adapter of embeddings"},
		{"embed_tokens", "trained embeddings"}, {"lm_head", "a trained output matrix"}, {"bias", "a trained bias"},
	} {
		if strings.Contains(name, k.part) {
			return k.what
		}
	}
	return "a tensor that is neither lora_A nor lora_B"
}

// order sorts tensors as the trainer does: by layer, then by place in the layer.
func (b *base) order(pairs map[string]*pair) []string {
	var out []string
	for i := range b.file.Tensors {
		if name := b.file.Tensors[i].Name; pairs[name] != nil {
			out = append(out, name)
		}
	}
	for name := range pairs { // those that the base lacks; add refuses them
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// add puts a pair into the adapter.
func (b *base) add(to *train.Adapter, name string, p *pair, c *config, weights *archive) error {
	A, B := p.tensor[0], p.tensor[1]
	if A == nil || B == nil {
		return fmt.Errorf("%s has only one of its two matrices", shorten(p.module))
	}
	rank, in, out := A.Shape[0], A.Shape[1], B.Shape[0]
	if rank < 1 || B.Shape[1] != rank {
		return fmt.Errorf("%s has A of rank %d and B of rank %d", shorten(p.module), rank, B.Shape[1])
	}
	if err := b.fits(name, in, out); err != nil {
		return err
	}
	scale, err := c.scale(p.module, rank)
	if err != nil {
		return err
	}
	a, err := weights.floats(A)
	if err != nil {
		return err
	}
	raw, err := weights.floats(B)
	if err != nil {
		return err
	}
	rows, err := permute(raw, out, rank, b.headsOf(name), false)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if to.Rank < 0 { // the first pair says what alpha is
		to.Rank, to.Alpha = rank, scale*float64(rank)
	} else if to.Rank != rank {
		to.Rank = 0
	}
	// The file has one alpha; where alpha/rank is not the scale, B makes up for it.
	if factor := scale * float64(rank) / to.Alpha; factor < 1-1e-9 || factor > 1+1e-9 {
		for i := range rows {
			rows[i] = float32(float64(rows[i]) * factor)
		}
	}
	to.Tensors = append(to.Tensors,
		train.AdapterTensor{Name: name + ".lora_a", Rows: rank, Cols: in, Data: a},
		train.AdapterTensor{Name: name + ".lora_b", Rows: out, Cols: rank, Data: rows})
	return nil
}
