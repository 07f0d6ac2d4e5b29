package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloister/appliance/engine"
	"cloister/appliance/engine/enginetest"
	"cloister/llama/gguf"
	"cloister/llama/llamatest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

var options = engine.Options{Context: enginetest.ContextTokens, Slots: 3}

func openChild(t *testing.T) *engine.Child {
	t.Helper()
	c, err := engine.NewChild(t.Context(), enginetest.WorkerCommand("infer"), llamatest.Model(t), options)
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

// kill kills the worker, which may not have started yet.
func kill(t *testing.T, c *engine.Child) {
	t.Helper()
	for range 1000 {
		if pid := c.PID(); pid > 0 { // 0 would be this process and its parents
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("no worker runs")
}

// A killed worker costs the running request and nothing else: the next one is
// answered, with the adapters that were loaded.
func TestChildKilled(t *testing.T) {
	hello := engine.ChatRequest{Messages: enginetest.Ask("Say hello."), MaxTokens: 4}
	start := time.Now()
	c := openChild(t)
	if _, err := c.Chat(t.Context(), hello, nil); err != nil {
		t.Fatal(err)
	}
	limit := enginetest.AnswerLimit(time.Since(start))
	if err := c.LoadAdapter(t.Context(), "tuned", adapterFile(t)); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	_, err := c.Chat(t.Context(), engine.ChatRequest{Messages: enginetest.Ask("Go on."), IgnoreEOS: true}, func(engine.Chunk) error {
		once.Do(func() {
			kill(t, c)
		})
		return nil
	})
	if !errors.Is(err, engine.ErrWorkerDied) {
		t.Errorf("the request at the kill: %v", err)
	}
	for _, adapter := range []string{"", "tuned"} {
		hello.Adapter, start = adapter, time.Now()
		r, err := c.Chat(t.Context(), hello, nil)
		if err != nil || r.CompletionTokens == 0 {
			t.Errorf("after the kill, adapter %q: %+v, %v", adapter, r, err)
		}
		if took := time.Since(start); took > limit {
			t.Errorf("after the kill, adapter %q: the next answer took %v, more than %v", adapter, took, limit)
		}
	}
}

// A request that comes in the moment after the kill, when nobody has noticed
// it yet, is answered all the same.
func TestChildKilledBetweenRequests(t *testing.T) {
	c := openChild(t)
	for i := range 5 {
		kill(t, c)
		if n, err := c.CountTokens(t.Context(), enginetest.Ask("Say hello.")); err != nil || n == 0 {
			t.Errorf("count %d after a kill: %d, %v", i, n, err)
		}
		kill(t, c)
		if r, err := c.Chat(t.Context(), engine.ChatRequest{Messages: enginetest.Ask("Say hello."), MaxTokens: 2}, nil); err != nil || r.CompletionTokens == 0 {
			t.Errorf("chat %d after a kill: %+v, %v", i, r, err)
		}
	}
}

// A worker that dies while it computes a prompt, before the first piece, gives
// that request an error: it may be what killed it, and must not kill the next.
func TestChildKilledInPrompt(t *testing.T) {
	c := openChild(t)
	pid := c.PID()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Chat(t.Context(), engine.ChatRequest{Messages: enginetest.Ask(strings.Repeat("many words ", 200)), MaxTokens: 1}, nil)
		ended <- err
	}()
	// CPU time says that the worker has begun: it idles until then.
	if !waitBusy(pid) {
		t.Fatal("the worker did not begin")
	}
	kill(t, c)
	if err := <-ended; !errors.Is(err, engine.ErrWorkerDied) {
		t.Errorf("%v, want ErrWorkerDied", err)
	}
}

// waitBusy waits until a process computes.
func waitBusy(pid int) bool {
	ticks := func() (n int) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if fields := strings.Fields(string(b)); err == nil && len(fields) > 14 {
			n, _ = strconv.Atoi(fields[13])
		}
		return n
	}
	idle := ticks()
	for range 1000 {
		if ticks() > idle+1 {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// Whoever was told that an adapter is loaded finds it, even when the worker
// died in that very moment.
func TestAdapterSurvivesKill(t *testing.T) {
	c := openChild(t)
	path := adapterFile(t)
	for i := range 6 {
		name := fmt.Sprint("tuned", i)
		loaded := make(chan error, 1)
		go func() { loaded <- c.LoadAdapter(t.Context(), name, path) }()
		time.Sleep(time.Duration(i) * 4 * time.Millisecond)
		kill(t, c)
		if err := <-loaded; err != nil {
			if !errors.Is(err, engine.ErrWorkerDied) {
				t.Errorf("load: %v", err)
			}
			continue
		}
		if _, err := c.Chat(t.Context(), engine.ChatRequest{Adapter: name, Messages: enginetest.Ask("Hello"), MaxTokens: 1}, nil); err != nil {
			t.Errorf("%s was loaded: %v", name, err)
		}
	}
}

func TestChildRefusesBadModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "garbage.gguf")
	if err := os.WriteFile(path, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := engine.NewChild(t.Context(), enginetest.WorkerCommand("infer"), path, options)
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
