package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/model"
	"cloister/lora/train"
)

// cutModel is the header of a model of the tiny tokenizer with real widths.
func cutModel(t *testing.T, typ gguf.Type) string {
	t.Helper()
	c := tinygguf.Default()
	kv, tensors, err := tinygguf.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	const width, ffn, layers, context = 1024, 4096, 24, 8192
	for i := range kv {
		switch kv[i].Key {
		case "llama.embedding_length":
			kv[i].Value = uint32(width)
		case "llama.feed_forward_length":
			kv[i].Value = uint32(ffn)
		case "llama.block_count":
			kv[i].Value = uint32(layers)
		case "llama.context_length":
			kv[i].Value = uint32(context)
		case "llama.attention.key_length", "llama.attention.value_length", "llama.rope.dimension_count":
			kv[i].Value = uint32(width / c.Heads)
		}
	}
	scale := func(n uint64) uint64 {
		switch n {
		case uint64(c.Embedding):
			return width
		case uint64(c.FFN):
			return ffn
		case uint64(c.KVHeads * c.Embedding / c.Heads):
			return width * uint64(c.KVHeads) / uint64(c.Heads)
		}
		return n
	}
	var out []gguf.Tensor
	for i := range tensors {
		x := tensors[i]
		x.Dims = append([]uint64(nil), x.Dims...)
		for d := range x.Dims {
			x.Dims[d] = scale(x.Dims[d])
		}
		if len(x.Dims) > 1 {
			x.Type = typ
		}
		block, rest, _ := strings.Cut(strings.TrimPrefix(x.Name, "blk."), ".")
		if x.Name == "blk."+block+"."+rest {
			if block != "0" {
				continue
			}
			for l := range layers {
				y := x
				y.Name = "blk." + string(rune('0'+l/10)) + string(rune('0'+l%10)) + "." + rest
				if l < 10 {
					y.Name = "blk." + string(rune('0'+l)) + "." + rest
				}
				out = append(out, y)
			}
			continue
		}
		out = append(out, x)
	}
	path := filepath.Join(t.TempDir(), "cut.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := gguf.WriteHeader(f, kv, out); err != nil {
		t.Fatal(err)
	}
	return path
}

// What fits is kept, what does not is refused, and every proposal fits when it is planned as it says.
func TestPlanMemory(t *testing.T) {
	base := cutModel(t, gguf.F16)
	plan := func(c train.PlanConfig) train.Memory {
		t.Helper()
		c.BasePath, c.Threads = base, 2
		m, err := train.PlanMemory(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, p := range m.Parts() {
			sum += p.Bytes
		}
		if sum != m.Total || m.Fits != (m.Total <= c.Free) {
			t.Errorf("parts add up to %d: %+v", sum, m)
		}
		return m
	}
	all := plan(train.PlanConfig{Free: 1 << 50})
	if all.RowTokens != 2048 || all.Rank != 16 || all.KeptLayers != 24 || len(all.Proposals) > 0 {
		t.Errorf("%+v", all)
	}
	// A little less: fewer layers are kept, and a tenth is left.
	tight := plan(train.PlanConfig{Free: all.Total})
	if !tight.Fits || tight.KeptLayers >= 24 || tight.KeptLayers < 12 || tight.Total > all.Total-all.Total/10 {
		t.Errorf("with %d bytes: %+v", all.Total, tight)
	}
	least := plan(train.PlanConfig{Free: 1})
	if least.Fits || least.KeptLayers != 0 || len(least.Proposals) != 0 {
		t.Errorf("with one byte: %+v", least)
	}
	if err := least.Refusal(); !errors.Is(err, train.ErrMemory) || !strings.Contains(err.Error(), "smaller model") {
		t.Errorf("with one byte: %v", err)
	}
	// All of it but nothing to spare still fits.
	if m := plan(train.PlanConfig{Free: least.Total}); !m.Fits || m.KeptLayers != 0 {
		t.Errorf("exactly as much as is needed: %+v", m)
	}
	for name, free := range map[string]int64{"shorter rows": least.Total - (1 << 20), "much less": least.Weights * 8 / 10, "next to nothing": least.Weights/4 + (90 << 20)} {
		m := plan(train.PlanConfig{Free: free})
		if m.Fits || len(m.Proposals) == 0 {
			t.Fatalf("%s: %+v", name, m)
		}
		err := m.Refusal()
		t.Logf("%s: %v", name, err)
		for _, p := range m.Proposals {
			if p.Total > free || !strings.Contains(err.Error(), p.Text) {
				t.Errorf("%s: proposal %+v", name, p)
			}
			c := train.PlanConfig{Free: free, MaxLength: p.MaxLength, Rank: p.Rank, BasePath: base, Threads: 2}
			if p.Type != "" {
				c.BasePath = cutModel(t, map[string]gguf.Type{"Q8_0": gguf.Q8_0, "Q6_K": gguf.Q6_K, "Q5_K": gguf.Q5_K, "Q4_K": gguf.Q4_K, "Q3_K": gguf.Q3_K, "Q2_K": gguf.Q2_K}[p.Type])
			}
			again, err := train.PlanMemory(t.Context(), c)
			if err != nil || !again.Fits || again.Total != p.Total || again.Weights != p.Weights {
				t.Errorf("%s: %+v is planned as %+v, %v", name, p, again, err)
			}
			if longer := p.MaxLength + 16; p.MaxLength > 0 && p.Rank == 0 {
				if m := plan(train.PlanConfig{Free: free, MaxLength: longer}); m.Fits {
					t.Errorf("%s: %d tokens fit as well as %d", name, longer, p.MaxLength)
				}
			}
		}
	}
}

func TestPlanMemoryErrors(t *testing.T) {
	if _, err := train.PlanMemory(t.Context(), train.PlanConfig{BasePath: "none.gguf"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	base := cutModel(t, gguf.F16)
	if _, err := train.PlanMemory(t.Context(), train.PlanConfig{BasePath: base, Targets: []string{"attn"}}); err == nil || !strings.Contains(err.Error(), "attn_q") {
		t.Errorf("no such matrix: %v", err)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := train.PlanMemory(stopped, train.PlanConfig{BasePath: base, Free: 1}); !errors.Is(err, train.ErrStopped) {
		t.Errorf("a cancelled context: %v", err)
	}
}

// A job is refused before its model is opened, and estimated with a warning.
func TestRunRefuses(t *testing.T) {
	req := request(t, writeTiny(t))
	req.Device, req.Memory = model.OnCPU, 1<<20
	opened := 0
	open := func(path string, c model.Config) (train.Trainable, error) { opened++; return withRef(path, c) }
	_, err := train.RunWith(t.Context(), req, nil, open)
	if !errors.Is(err, train.ErrMemory) || !strings.Contains(err.Error(), "1.0 MB are free") || opened > 0 {
		t.Errorf("%v, opened %d times", err, opened)
	}
	e, err := train.EstimateWith(t.Context(), req, open)
	if err != nil || opened > 0 || e.Seconds != 0 || e.Memory == nil || e.Memory.Fits || e.MemoryBytes != e.Memory.Total || len(e.Warnings) == 0 {
		t.Fatalf("estimate %+v, %v", e, err)
	}
	if last := e.Warnings[len(e.Warnings)-1]; !strings.HasPrefix(last, "The job would not run here: not enough memory: ") {
		t.Errorf("warning %q", last)
	}
	// What fits is said before the first step.
	req.Memory = 1 << 30
	res, events := mustRun(t, req)
	if info := events.kind("info"); res.Steps != 12 || len(info) < 2 || !strings.HasPrefix(info[1].Message, "Memory: ") || !strings.Contains(info[1].Message, "of 1.1 GB that are free: weights ") {
		t.Errorf("events %+v", info)
	}
}

// The rows that are planned are those that will be packed: a smaller batch
// makes them shorter where examples are short, and is proposed then.
func TestSmallerBatch(t *testing.T) {
	req := request(t, writeTiny(t))
	req.Device, req.Train = model.OnCPU, examples(40, 0)
	lengths := map[int]int{}
	var totals []int64
	for _, batch := range []int{1, 4, 16} {
		req.Hyperparameters.BatchSize = batch
		m, err := train.PlanOf(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		lengths[batch] = m.RowTokens
		totals = append(totals, m.Total)
	}
	if !(lengths[1] < lengths[4] && lengths[4] < lengths[16]) {
		t.Fatalf("rows of %v tokens", lengths)
	}
	req.Memory = totals[2] - 4096 // below what recomputing saves on this model
	for req.Memory > totals[0] {
		m, err := train.PlanOf(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Proposals {
			if p.BatchSize > 0 {
				req.Hyperparameters.BatchSize = p.BatchSize
				if again, err := train.PlanOf(t.Context(), req); err != nil || !again.Fits || again.Total != p.Total {
					t.Errorf("%+v is planned as %+v, %v", p, again, err)
				}
				return
			}
		}
		req.Memory -= 8192
	}
	t.Error("a smaller batch is never proposed")
}

// The bound of the own control group and of those above it; caches do not count.
func TestGroupMemory(t *testing.T) {
	root := t.TempDir()
	write := func(dir, name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own := "1:name=systemd:/x\n0::/a.slice/b.service\n"
	if n := train.GroupMemory(root, own, 500); n != 500 {
		t.Errorf("no limit: %d", n)
	}
	write("a.slice", "memory.max", "1000\n")
	write("a.slice", "memory.current", "900\n")
	write("a.slice", "memory.stat", "anon 100\ninactive_file 300\nactive_file 400\n")
	write("a.slice/b.service", "memory.max", "max\n")
	if n := train.GroupMemory(root, own, 5000); n != 800 {
		t.Errorf("the group above: %d", n)
	}
	if n := train.GroupMemory(root, own, 0); n != 800 {
		t.Errorf("the system's is unknown: %d", n)
	}
	write("a.slice/b.service", "memory.max", "600\n")
	write("a.slice/b.service", "memory.current", "700\n")
	if n := train.GroupMemory(root, own, 5000); n != 1 {
		t.Errorf("a full group: %d", n)
	}
	if n := train.GroupMemory(root, "0::/../../elsewhere\n", 70); n != 70 {
		t.Errorf("another group: %d", n)
	}
}
