package engine

import (
	"testing"
	"time"
)

// The card gets a second chance, then a pause that doubles up to an hour, and a
// clean record once a worker has lived on it for some time.
func TestFallback(t *testing.T) {
	p := usualPatience
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var f fallback
	if f.died(now, time.Hour, "x", p) || f.active() {
		t.Fatal("the first death leads to the processor")
	}
	if now = now.Add(p.window + time.Second); f.died(now, p.window+time.Second, "x", p) {
		t.Fatal("a death long after the first leads to the processor")
	}
	if now = now.Add(time.Second); !f.died(now, time.Second, "out of memory", p) || f.reason != "out of memory" || !f.since.Equal(now) {
		t.Fatalf("the second death: %+v", f)
	}
	since := f.since
	for wait := p.retry; ; wait *= 2 {
		if got := f.retry.Sub(now); got != min(wait, p.maxRetry) {
			t.Fatalf("after %d tries it waits %v, want %v", f.tries, got, min(wait, p.maxRetry))
		}
		if wait > 4*p.maxRetry {
			break
		}
		now = f.retry
		f.fail(now, "still", p)
		if !f.since.Equal(since) {
			t.Fatal("since changed")
		}
	}
	f.recovered()
	if f.active() {
		t.Fatal("recovered, and active")
	}
	now = now.Add(time.Hour)
	if again := f; !again.died(now, time.Second, "x", p) || again.retry.Sub(now) != p.maxRetry {
		t.Errorf("a death soon after the recovery: %+v", again)
	}
	if again := f; again.died(now, 2*p.window, "x", p) {
		t.Errorf("a death long after the recovery: %+v", again)
	}
	for range 100 {
		f.fail(now, "x", p)
	}
	if wait := f.retry.Sub(now); wait != p.maxRetry {
		t.Errorf("after 100 more it waits %v", wait)
	}
}
