package offload_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/llama/gguf"
	"cloister/llama/offload"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

func read(t *testing.T, name string) offload.Sizes {
	t.Helper()
	return readFile(t, sparseOf(t, shapes[name]))
}

func readFile(t *testing.T, path string) offload.Sizes {
	t.Helper()
	f, err := gguf.OpenHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := offload.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func card(name string, free, total int64) offload.Device {
	return offload.Device{Name: name, Free: free, Total: total}
}

// How many layers of published models fit onto cards that people have, with
// four slots of 4096 tokens.
func TestLayersThatFit(t *testing.T) {
	for _, c := range []struct {
		shape      string
		free       []int64
		slots      int
		layers     int // on cards
		on         int // cards that are used
		slotsGiven int
	}{
		{"smollm2-135m", []int64{2 * gib}, 0, 31, 1, 8},
		{"smollm2-135m", []int64{24 * gib}, 0, 31, 1, 32},
		{"smollm2-135m", []int64{200 * mib}, 0, 0, 0, 4},
		{"llama-8b", []int64{7 * gib}, 0, 30, 1, 4},
		{"llama-8b", []int64{8 * gib}, 0, 33, 1, 4}, // 4.2 GB of weights, 2.1 of cache, 0.6 of room for a step and adapters, 1.1 left alone
		{"llama-8b", []int64{12 * gib}, 0, 33, 1, 8},
		{"llama-8b", []int64{24 * gib}, 0, 33, 1, 20},
		{"llama-8b", []int64{140 * gib}, 0, 33, 1, 32},
		{"llama-8b", []int64{140 * gib}, 64, 33, 1, 64},
		{"llama-8b", []int64{4 * gib}, 0, 16, 1, 4},
		{"llama-70b", []int64{24 * gib}, 0, 41, 1, 4},
		{"llama-70b", []int64{80 * gib}, 0, 81, 1, 16},
		{"llama-70b", []int64{24 * gib, 24 * gib}, 0, 81, 2, 4},
		{"llama-70b", []int64{24 * gib, 24 * gib, 24 * gib}, 0, 81, 3, 12},
		{"llama-8b", []int64{12 * gib, 140 * gib}, 0, 33, 1, 32}, // one card is enough
		{"llama-8b", []int64{0}, 0, 0, 0, 4},
	} {
		s := read(t, c.shape)
		r := offload.Request{Context: 4096, Slots: c.slots}
		for i, free := range c.free {
			r.Devices = append(r.Devices, card("CUDA"+string(rune('0'+i)), free, max(free, 4*gib)))
		}
		p, err := offload.New(s, r)
		if err != nil {
			t.Fatal(err)
		}
		if p.Layers != c.layers || len(p.Shares) != c.on || p.Slots != c.slotsGiven {
			t.Errorf("%s on %v: %d of %d layers on %d cards with %d slots, want %d on %d with %d", c.shape, c.free, p.Layers, p.Of, len(p.Shares), p.Slots, c.layers, c.on, c.slotsGiven)
		}
		if (p.Reason == "") != (p.Layers == p.Of) {
			t.Errorf("%s on %v: %d of %d layers, reason %q", c.shape, c.free, p.Layers, p.Of, p.Reason)
		}
		if p.Layers > 0 && p.Layers < p.Of && len(c.free) == 1 { // one more would not fit
			r.Layers = offload.Layers(p.Layers + 1)
			if more, err := offload.New(s, r); err != nil || more.DeviceBytes() <= c.free[0]-min(gib, c.free[0]/8) {
				t.Errorf("%s on %v: %d layers take %d bytes, %v", c.shape, c.free, p.Layers+1, more.DeviceBytes(), err)
			}
		}
		sum := p.Host.Layers
		for _, share := range p.Shares {
			sum += share.Layers
			for _, d := range r.Devices {
				if d.Name == share.Name && share.Bytes() > d.Free {
					t.Errorf("%s: %d bytes planned for %s, which has %d", c.shape, share.Bytes(), d.Name, d.Free)
				}
			}
		}
		if sum != p.Of {
			t.Errorf("%s on %v: %d layers have a place, of %d", c.shape, c.free, sum, p.Of)
		}
	}
}

// What the user asks for is planned even where it does not fit.
func TestAskedFor(t *testing.T) {
	s := read(t, "llama-8b")
	one := []offload.Device{card("CUDA0", 2*gib, 8*gib)}
	two := append(one, card("CUDA1", 4*gib, 8*gib))
	for _, c := range []struct {
		layers  offload.Layers
		devices []offload.Device
		want    []int
	}{
		{offload.All, one, []int{33}},
		{offload.All, two, []int{8, 25}},
		{99, one, []int{33}},
		{2, one, []int{2}},
		{offload.None, two, nil},
		{offload.None, nil, nil},
		{offload.Auto, nil, nil},
	} {
		p, err := offload.New(s, offload.Request{Layers: c.layers, Devices: c.devices, Context: 4096})
		if err != nil {
			t.Fatal(err)
		}
		names, split := p.Names()
		if len(names) != len(c.want) {
			t.Errorf("%d layers on %d devices: %+v", c.layers, len(c.devices), p)
			continue
		}
		for i, n := range c.want {
			if int(split[i]) != n || names[i] != c.devices[i].Name {
				t.Errorf("%d layers: %v on %v, want %v", c.layers, split, names, c.want)
			}
		}
	}
	for _, layers := range []offload.Layers{offload.All, 5} {
		if _, err := offload.New(s, offload.Request{Layers: layers, Context: 4096}); !errors.Is(err, offload.ErrNoDevice) {
			t.Errorf("%d layers and no card: %v", layers, err)
		}
	}
}

func TestParseLayers(t *testing.T) {
	for text, want := range map[string]offload.Layers{"": offload.Auto, "auto": offload.Auto, "all": offload.All, "0": offload.None, "17": 17} {
		if got, err := offload.ParseLayers(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "some", "1.5", "99999999999999999999", "4097"} {
		if _, err := offload.ParseLayers(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The sums are llama.cpp's own: cache to the byte, the memory of a step never
// less and at most a fifth more.
func TestAgreesWithLlama(t *testing.T) {
	for name, shape := range shapes {
		shape.Layers, shape.Vocab = 3, 32064 // for speed; the widths are what counts
		path := sparseOf(t, shape)
		s := readFile(t, path)
		for _, c := range []struct{ context, slots, batch int }{{4096, 4, 512}, {1000, 3, 128}} {
			rows, err := llama.Measure(path, llama.Placement{}, llama.ContextOptions{Tokens: c.context, Sequences: c.slots, Batch: c.batch})
			if err != nil {
				t.Fatal(err)
			}
			real := rows[len(rows)-1]
			p, err := offload.New(s, offload.Request{Context: c.context, Slots: c.slots, Batch: c.batch})
			if err != nil {
				t.Fatal(err)
			}
			if p.Host.Cache != real.Cache {
				t.Errorf("%s %+v: a cache of %d bytes is planned, llama.cpp takes %d", name, c, p.Host.Cache, real.Cache)
			}
			if r := float64(p.Host.Compute) / float64(real.Compute); r < 1 || r > 1.2 {
				t.Errorf("%s %+v: %d bytes are planned for a step, llama.cpp takes %d (%.2f)", name, c, p.Host.Compute, real.Compute, r)
			}
		}
	}
}

// Weights are those of the file: each tensor once, and a tied output twice.
func TestWeights(t *testing.T) {
	for name, shape := range shapes {
		f, err := gguf.OpenHeader(sparseOf(t, shape))
		if err != nil {
			t.Fatal(err)
		}
		var file, embedding int64
		for i := range f.Tensors {
			file += int64(f.Tensors[i].Bytes())
			if f.Tensors[i].Name == "token_embd.weight" {
				embedding = int64(f.Tensors[i].Bytes())
			}
		}
		if shape.Tied {
			file += embedding
		}
		s, err := offload.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		sum := s.Output + s.Input
		for _, l := range s.Layers {
			sum += l.Weights
		}
		if diff := math.Abs(float64(sum-file)) / float64(file); diff > 0.001 {
			t.Errorf("%s: %d bytes of weights, %d in the file", name, sum, file)
		}
	}
}

// A damaged header is an error that says what is missing.
func TestReadRefuses(t *testing.T) {
	for want, f := range map[string]*gguf.File{
		"general.architecture":   header(t),
		"llama.block_count":      header(t, gguf.KV{Key: "general.architecture", Value: "llama"}),
		"llama.embedding_length": header(t, gguf.KV{Key: "general.architecture", Value: "llama"}, gguf.KV{Key: "llama.block_count", Value: uint32(2)}),
		"too many": header(t, gguf.KV{Key: "general.architecture", Value: "llama"}, gguf.KV{Key: "llama.block_count", Value: uint32(1 << 31)},
			gguf.KV{Key: "llama.embedding_length", Value: uint32(8)}),
	} {
		if _, err := offload.Read(f); !errors.Is(err, gguf.ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something about %s", err, want)
		}
	}
}

func header(t *testing.T, kv ...gguf.KV) *gguf.File {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.WriteHeader(&b, kv, nil); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.ReadHeader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
