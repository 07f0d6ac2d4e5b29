package clean_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"cloister/store/clean"
	"cloister/store/ingest"
)

// ordinary makes n rows of unlike questions and answers, and counts their bytes.
func ordinary(n int) (recs []ingest.Record, size int) {
	words := strings.Fields("room floor clinic parking form blood morning evening counter bring fasting water window garden north result")
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(words[rng.IntN(len(words))] + " ")
		}
		return b.String()
	}
	for i := range n {
		rec := ingest.Record{Row: i + 2, Question: text(8) + fmt.Sprint(i, "?"), Answer: text(45) + fmt.Sprint(i, ".")}
		recs, size = append(recs, rec), size+len(rec.Question)+len(rec.Answer)
	}
	return recs, size
}

// TestMemory: the words of a text are many times as large as the text, so they
// must not be kept for every row of a large set.
func TestMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // so that the heap is near to what is in use
	recs, size := ordinary(20_000)
	runtime.GC()
	var start, now runtime.MemStats
	runtime.ReadMemStats(&start)
	done, peaked := make(chan struct{}), make(chan uint64)
	go func() {
		peak := uint64(0)
		for {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
			select {
			case <-done:
				peaked <- peak
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	clean.Clean(recs, clean.Options{})
	close(done)
	if grown := int64(<-peaked) - int64(start.HeapAlloc); grown > 8*int64(size) {
		t.Errorf("%d KiB of texts took %d KiB more", size>>10, grown>>10)
	}
	runtime.KeepAlive(recs)
}

// countdown is a context that ends when it was asked so many times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestCleanContext stops at every place at which cleaning can stop, and finds
// that there are many.
func TestCleanContext(t *testing.T) {
	recs, _ := ordinary(600)
	for n := 0; ; n++ {
		out, rep, err := clean.CleanContext(&countdown{t.Context(), n}, recs, clean.Options{})
		if err == nil {
			if n < 40 || len(out) != len(recs) {
				t.Errorf("%d places to stop, %d rows", n, len(out))
			}
			return
		}
		if !errors.Is(err, context.Canceled) || out != nil || rep.Rows != 0 {
			t.Fatalf("stopped at %d: %d rows, %+v, %v", n, len(out), rep, err)
		}
	}
}
