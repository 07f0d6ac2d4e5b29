package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/model"
	"cloister/lora/train"
)

// The base's architecture says what can be adapted: names that it lacks are
// refused before work starts, words stand for what it has.
func TestTargetsOfTheBase(t *testing.T) {
	for _, tt := range []struct {
		architecture string
		targets      []string
		want         string // targets trained, or part of the error
	}{
		{"phi3", nil, "attn_qkv attn_output ffn_up ffn_down"},
		{"phi3", []string{"attention"}, "attn_qkv attn_output"},
		{"phi3", []string{"attn_qkv", "attn_q"}, `target_modules: no matrix "attn_q"`},
		{"qwen3moe", []string{"all-linear"}, "attn_q attn_k attn_v attn_output"},
	} {
		c := tinygguf.Default()
		c.Architecture = tt.architecture
		if tt.architecture == "qwen3moe" {
			c.Experts, c.ExpertsUsed = 4, 2
		}
		base := filepath.Join(t.TempDir(), "tiny.gguf")
		if err := tinygguf.WriteFile(base, c); err != nil {
			t.Fatal(err)
		}
		req := request(t, base)
		req.Hyperparameters.Targets = tt.targets
		if _, err := train.Run(context.Background(), req, nil); err != nil {
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s %v: %v", tt.architecture, tt.targets, err)
			}
			continue
		}
		a, err := train.ReadAdapter(req.OutPath)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range a.Tensors {
			if name := strings.Split(x.Name, ".")[2]; !slices.Contains(got, name) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s %v: trained %v, want %s", tt.architecture, tt.targets, got, tt.want)
		}
		again := request(t, base) // continues with the same targets
		again.InitPath, again.Hyperparameters.Rank, again.Hyperparameters.Alpha = req.OutPath, 0, 0
		if _, err := train.Run(context.Background(), again, nil); err != nil {
			t.Errorf("%s %v: continued: %v", tt.architecture, tt.targets, err)
		}
	}
}

func TestArchitectureRefused(t *testing.T) {
	kv, tensors, err := tinygguf.Build(tinygguf.Default())
	if err != nil {
		t.Fatal(err)
	}
	kv[0].Value = "mamba"
	base := filepath.Join(t.TempDir(), "mamba.gguf")
	f, err := os.Create(base)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(gguf.Write(f, kv, tensors), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := train.Run(context.Background(), request(t, base), nil); !errors.Is(err, model.ErrArchitecture) || !strings.Contains(err.Error(), `"mamba"; supported: gemma3, llama`) {
		t.Errorf("got %v, want %v", err, model.ErrArchitecture)
	}
}
