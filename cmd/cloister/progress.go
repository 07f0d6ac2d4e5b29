package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	redrawEvery = 100 * time.Millisecond // on a terminal
	lineEvery   = 5 * time.Second        // into a pipe or a file
)

// progress shows how far something long has come: on a terminal a bar that is
// redrawn in place, elsewhere a plain line every few seconds. It is for one
// goroutine.
type progress struct {
	w     io.Writer
	width func() int // columns of the terminal; nil when w is none
	now   func() time.Time
	last  time.Time // of the latest drawing
	drawn bool      // a bar stands on the current line
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, now: time.Now}
	f, ok := w.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.width = func() int {
			if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
				return columns
			}
			return 80
		}
	}
	return p
}

// show draws the state: done of 1, and what to say of it. It is cheap to call
// often: most calls draw nothing.
func (p *progress) show(done float64, text string) {
	every := lineEvery
	if p.width != nil {
		every = redrawEvery
	}
	if now := p.now(); now.Sub(p.last) >= every {
		p.last = now
		p.draw(done, text)
	}
}

// draw shows the state at once.
func (p *progress) draw(done float64, text string) {
	if p.width == nil {
		fmt.Fprintf(p.w, "%3.0f %%  %s\n", 100*done, text)
		return
	}
	columns := p.width() - 1 // the last column would wrap on some terminals
	cells := min(30, columns-utf8.RuneCountInString(text)-10)
	var b strings.Builder
	if cells >= 5 {
		full := int(done*float64(cells) + 0.5)
		fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("=", full), strings.Repeat(" ", cells-full))
	}
	fmt.Fprintf(&b, "%3.0f %%  %s", 100*done, text)
	line := []rune(b.String())
	fmt.Fprintf(p.w, "\r%s\x1b[K", string(line[:min(len(line), max(columns, 1))]))
	p.drawn = true
}

// print writes a line that stays, above the bar.
func (p *progress) print(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// wrap breaks a text that begins with a head at the terminal's width; lines
// after the first are indented.
func (p *progress) wrap(head, text string, indent int) string {
	if p.width == nil {
		return head + text
	}
	columns := max(p.width(), indent+20)
	var b strings.Builder
	b.WriteString(head)
	at := utf8.RuneCountInString(head)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case at+1+n > columns && at > indent:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		case i > 0:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
		p.last = time.Time{}
	}
}
