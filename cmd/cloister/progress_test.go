package main

import (
	"strings"
	"testing"
	"time"
)

// testProgress is a progress with a clock that stands still.
func testProgress(columns int) (p *progress, out *strings.Builder, clock *time.Time) {
	out, clock = new(strings.Builder), new(time.Time)
	*clock = time.Unix(1000, 0)
	p = newProgress(out)
	p.now = func() time.Time { return *clock }
	if columns > 0 {
		p.width = func() int { return columns }
	}
	return p, out, clock
}

// Into a pipe: whole lines, at most one every few seconds, and no control characters.
func TestProgressPiped(t *testing.T) {
	p, out, clock := testProgress(0)
	for i := range 100 {
		p.show(float64(i)/100, "step")
		*clock = clock.Add(200 * time.Millisecond)
	}
	p.print("epoch 1/1")
	p.clear()
	want := "  0 %  step\n 25 %  step\n 50 %  step\n 75 %  step\nepoch 1/1\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// On a terminal: one line that is redrawn and never wider than the terminal;
// lines that stay go above it, and nothing of it is left at the end.
func TestProgressTerminal(t *testing.T) {
	p, out, clock := testProgress(40)
	p.show(0.5, "loss 1.250")
	if want := "\r[==========          ]  50 %  loss 1.250\x1b[K"; !strings.HasPrefix(out.String(), "\r[=====") || strings.Contains(out.String(), "\n") {
		t.Errorf("got %q, want something like %q", out, want)
	}
	drawn := out.String()
	p.show(0.51, "loss 1.249")
	if out.String() != drawn {
		t.Error("drawn again at once")
	}
	p.print("epoch 1/3")
	if got := strings.TrimPrefix(out.String(), drawn); got != "\r\x1b[Kepoch 1/3\n" {
		t.Errorf("the line that stays: %q", got)
	}
	out.Reset()
	*clock = clock.Add(time.Second)
	p.show(1, strings.Repeat("한", 100))
	for line := range strings.SplitSeq(out.String(), "\r") {
		if n := len([]rune(strings.TrimSuffix(line, "\x1b[K"))); n > 39 {
			t.Errorf("%d characters in 40 columns", n)
		}
	}
	out.Reset()
	p.clear()
	p.clear()
	if out.String() != "\r\x1b[K" {
		t.Errorf("the end: %q", out)
	}
}

// Reasons are broken at the width of the terminal, and left alone in a pipe.
func TestProgressWrap(t *testing.T) {
	p, _, _ := testProgress(40)
	got := p.wrap("  rank     16   ", "room for a few thousand facts at a small cost", 16)
	want := "  rank     16   room for a few thousand\n" + strings.Repeat(" ", 16) + "facts at a small cost"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p, _, _ = testProgress(0)
	if got := p.wrap("a ", "long text", 16); got != "a long text" {
		t.Errorf("piped: %q", got)
	}
}
