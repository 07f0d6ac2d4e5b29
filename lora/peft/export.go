package peft

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"cloister/llama/gguf"
	"cloister/lora/atomicfile"
	"cloister/lora/train"
)

// Export writes an adapter as PEFT loads it into the folder dir, which is made
// if it is not there and must hold no adapter yet. The configuration is written
// last: a folder that has one is complete.
func Export(a *train.Adapter, baseModel *gguf.File, dir string) error {
	if err := Check(a, baseModel); err != nil {
		return err
	}
	b, err := baseOf(baseModel)
	if err != nil {
		return err
	}
	tensors, c, err := b.export(a)
	if err != nil {
		return err
	}
	if err := fresh(dir, ConfigFile, WeightsFile); err != nil {
		return err
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	err = atomicfile.Write(filepath.Join(dir, WeightsFile), func(w io.Writer) error { return writeArchive(w, tensors) }, nil)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, ConfigFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	}, nil)
}

// ExportGGUF writes an adapter as llama.cpp loads it: GGUFFile in the folder
// dir, which is made if it is not there and must hold none yet.
func ExportGGUF(a *train.Adapter, baseModel *gguf.File, dir string) error {
	if err := Check(a, baseModel); err != nil {
		return err
	}
	if err := fresh(dir, GGUFFile); err != nil {
		return err
	}
	return a.WriteFile(filepath.Join(dir, GGUFFile))
}

// fresh makes a folder, which must hold none of these files.
func fresh(dir string, files ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s holds %s already; name another folder", dir, name)
		}
	}
	return nil
}

// export makes PEFT's tensors and configuration.
func (b *base) export(a *train.Adapter) (map[string]matrix, written, error) {
	tensors := map[string]matrix{}
	ranks, names, paths := map[string]int{}, map[string]int{}, []string{}
	for _, p := range a.Pairs() {
		path, name, err := b.module(p.Tensor)
		if err != nil {
			return nil, written{}, err
		}
		rows, err := permute(p.B.Data, p.B.Rows, p.B.Cols, b.headsOf(p.Tensor), true)
		if err != nil {
			return nil, written{}, fmt.Errorf("%s: %w", p.Tensor, err)
		}
		tensors["base_model.model."+path+".lora_A.weight"] = matrix{p.A.Rows, p.A.Cols, p.A.Data}
		tensors["base_model.model."+path+".lora_B.weight"] = matrix{p.B.Rows, p.B.Cols, rows}
		ranks[path] = p.Rank()
		names[name]++
		paths = append(paths, path)
	}
	targets := slices.Sorted(maps.Keys(names))
	for _, n := range names {
		if n != b.layers || b.partOfAnother() { // a name would adapt layers that the adapter leaves alone
			targets = slices.Sorted(slices.Values(paths))
		}
	}
	r := a.Rank
	if r == 0 {
		r = commonest(ranks)
	}
	maps.DeleteFunc(ranks, func(_ string, v int) bool { return v == r })
	return tensors, written{
		Type: "LORA", Task: "CAUSAL_LM", R: r, Alpha: a.Alpha, Bias: "none", InferenceMode: true, InitWeights: true,
		RankPattern: ranks, AlphaPattern: map[string]float64{}, TargetModules: targets,
	}, nil
}

// commonest is the value that most keys have, the smallest of several.
func commonest(values map[string]int) int {
	count := map[int]int{}
	for _, v := range values {
		count[v]++
	}
	best := 0
	for _, v := range slices.Sorted(maps.Keys(count)) {
		if best == 0 || count[v] > count[best] {
			best = v
		}
	}
	return best
}
