//go:build cudaemu

package native_test

import (
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"cloister/lora/internal/native"
)

// The order in which threads run where barriers leave it open makes no difference.
func TestCUDAOrder(t *testing.T) {
	f := newFixture(t)
	var first []float32
	for seed := range uint64(4) {
		native.EmulateOrder(seed)
		c := openCard(t, 0, false)
		a := newFixture(t).attention(100, 4, 2, 32, []int{30, 41})
		on := a
		on.Q, on.K, on.V = c.up(a.Q), c.up(a.K), c.up(a.V)
		o, lse := c.up(f.gapped(100, 128, 0)), c.up(f.gapped(100, 4, 0))
		check(t, c.Attention(on, o, lse))
		dq, dk, dv := c.up(f.gapped(100, 128, a.Q.Stride-128)), c.up(f.gapped(100, 64, a.K.Stride-64)), c.up(f.gapped(100, 64, a.V.Stride-64))
		check(t, c.AttentionBack(on, o, lse, on.Q, dq, dk, dv))
		var all []float32
		for _, m := range []native.Mat{c.down(o), c.down(lse), c.down(dq), c.down(dk), c.down(dv)} {
			for i := range m.Rows {
				all = append(all, row(m, i)...)
			}
		}
		if first == nil {
			first = all
		}
		if !slices.Equal(all, first) {
			t.Fatalf("with seed %d results differ", seed)
		}
	}
}

// A card that fails says so in this and every later call, and a new one works.
func TestCUDALost(t *testing.T) {
	f := newFixture(t)
	before := native.EmulatedBytes()
	c, err := native.OpenCUDA(0, false)
	check(t, err)
	p, err := c.Alloc(4 * 64)
	check(t, err)
	x := native.Mat{Data: p, Rows: 8, Cols: 8, Stride: 8}
	check(t, c.Zero(x))
	check(t, c.Scale(x, 2))
	native.EmulateLoss(1)
	defer native.EmulateLoss(-1)
	check(t, c.Scale(x, 2))
	_ = c.Scale(x, 2)
	err = c.Get(make([]byte, 256), p)
	if !errors.Is(err, native.ErrDevice) || !strings.Contains(err.Error(), "cudaErrorLaunchFailure") {
		t.Errorf("a lost card: %v, want %v with its reason", err, native.ErrDevice)
	}
	for i, err := range []error{c.Zero(x), c.Add(x, x), c.Wait(), c.Put(p, make([]byte, 4)), c.Gemm(x, false, native.Term{A: x, B: native.Float(x)})} {
		if !errors.Is(err, native.ErrDevice) {
			t.Errorf("call %d on a lost card: %v, want %v", i, err, native.ErrDevice)
		}
	}
	if _, err := c.Alloc(8); !errors.Is(err, native.ErrDevice) {
		t.Errorf("memory of a lost card: %v, want %v", err, native.ErrDevice)
	}
	c.Free(p)
	c.Close()
	native.EmulateLoss(-1)
	if got := native.EmulatedBytes(); got != before {
		t.Errorf("%d bytes stay on the card", got-before)
	}
	again := openCard(t, 0, false)
	check(t, again.Zero(again.up(f.mat(3, 3, 0, 1))))
}

// Memory that is not there is an error, and the card goes on.
func TestCUDAMemory(t *testing.T) {
	native.EmulateMemory(64 << 20)
	defer native.EmulateMemory(4 << 30)
	c := openCard(t, 0, false)
	free, total, err := c.Memory()
	check(t, err)
	if total != 64<<20 || free <= 0 || free >= total {
		t.Errorf("%d of %d bytes are free", free, total)
	}
	if _, err := c.Alloc(free + 1); !errors.Is(err, native.ErrMemory) {
		t.Errorf("more than there is: %v, want %v", err, native.ErrMemory)
	}
	x := c.f.mat(16, 16, 0, 1)
	dx := c.up(x)
	rest, _, err := c.Memory()
	check(t, err)
	c.alloc(rest)
	if err := c.Gemm(dx, true, native.Term{A: dx, B: native.Float(dx)}); !errors.Is(err, native.ErrMemory) {
		t.Errorf("a product without room for its scratch: %v, want %v", err, native.ErrMemory)
	}
	check(t, c.Scale(dx, 1))
	near(t, "what was there", c.down(dx), x, 0)
	native.EmulateMemory(1 << 20)
	if _, err := native.OpenCUDA(0, false); !errors.Is(err, native.ErrMemory) {
		t.Errorf("a card without room for the ring: %v, want %v", err, native.ErrMemory)
	}
}

// The host that follows a pointer to device memory faults here as it would with a card.
func TestCUDAHostAccess(t *testing.T) {
	c := openCard(t, 0, false)
	p := c.alloc(64)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() == nil {
			t.Error("the host reads device memory")
		}
	}()
	_ = *(*float32)(unsafe.Pointer(p))
	t.Log(*(*byte)(p))
}
