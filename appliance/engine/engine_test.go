package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"cloister/appliance/engine"
	"cloister/appliance/engine/enginetest"
	"cloister/llama/gguf"
	"cloister/llama/llamatest"
)

// The test binary is its own worker.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "worker" {
		serve := engine.ServeInfer
		if os.Args[2] == "train" {
			serve = engine.ServeTrain
		}
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func workerCommand(kind string) []string { return []string{os.Args[0], "worker", kind} }

var options = engine.Options{Context: enginetest.ContextTokens, Slots: 3}

func openChild(t *testing.T) *engine.Child {
	t.Helper()
	c, err := engine.NewChild(t.Context(), workerCommand("infer"), llamatest.Model(t), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLocal(t *testing.T) {
	enginetest.Run(t, adapterFile(t), func(t *testing.T) engine.Engine {
		e, err := engine.OpenLocal(llamatest.Model(t), options)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func TestChild(t *testing.T) {
	enginetest.Run(t, adapterFile(t), func(t *testing.T) engine.Engine { return openChild(t) })
}

// A killed worker costs the running request and nothing else: the next one is
// answered, with the adapters that were loaded.
func TestChildKilled(t *testing.T) {
	c := openChild(t)
	if err := c.LoadAdapter(t.Context(), "tuned", adapterFile(t)); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	_, err := c.Chat(t.Context(), engine.ChatRequest{Messages: enginetest.Ask("Go on."), IgnoreEOS: true}, func(engine.Chunk) error {
		once.Do(func() {
			if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		})
		return nil
	})
	if !errors.Is(err, engine.ErrWorkerDied) {
		t.Errorf("the request at the kill: %v", err)
	}
	for _, adapter := range []string{"", "tuned"} {
		r, err := c.Chat(t.Context(), engine.ChatRequest{Adapter: adapter, Messages: enginetest.Ask("Say hello."), MaxTokens: 4}, nil)
		if err != nil || r.CompletionTokens == 0 {
			t.Errorf("after the kill, adapter %q: %+v, %v", adapter, r, err)
		}
	}
}

func TestChildRefusesBadModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "garbage.gguf")
	if err := os.WriteFile(path, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := engine.NewChild(t.Context(), workerCommand("infer"), path, options)
	if err == nil {
		c.Close()
		t.Fatal("garbage was loaded")
	}
	if !strings.Contains(err.Error(), "garbage.gguf") {
		t.Errorf("the error does not name the file: %v", err)
	}
}

func TestChildRefusesBadCommand(t *testing.T) {
	if c, err := engine.NewChild(t.Context(), []string{"/nonexistent"}, llamatest.Model(t), options); err == nil {
		c.Close()
		t.Fatal("a command that does not exist was started")
	}
	if c, err := engine.NewChild(t.Context(), []string{"/bin/false"}, llamatest.Model(t), options); err == nil {
		c.Close()
		t.Fatal("/bin/false served a model")
	}
}

// adapterFile writes an adapter of random numbers, large enough to change every answer.
func adapterFile(t *testing.T) string {
	t.Helper()
	const rank, in, out, layers = 4, 576, 192, 30
	rng := rand.New(rand.NewPCG(1, 2))
	matrix := func(n int) []byte {
		var b []byte
		for range n {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(rng.NormFloat64())*0.2))
		}
		return b
	}
	var tensors []gguf.Tensor
	for i := range layers {
		name := fmt.Sprintf("blk.%d.attn_v.weight.lora_", i)
		tensors = append(tensors,
			gguf.Tensor{Name: name + "a", Type: gguf.F32, Dims: []uint64{in, rank}, Data: matrix(in * rank)},
			gguf.Tensor{Name: name + "b", Type: gguf.F32, Dims: []uint64{rank, out}, Data: matrix(rank * out)})
	}
	path := filepath.Join(t.TempDir(), "random.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = gguf.Write(f, []gguf.KV{
		{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: "llama"},
		{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(rank)},
	}, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
