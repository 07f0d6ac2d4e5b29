package sched

import (
	"bytes"
	"math"
	"sort"
	"strings"
	"unicode/utf8"
)

// textOut turns the pieces of tokens into text that may be sent: whole UTF-8
// characters, nothing of a stop string, and nothing that may yet become one.
type textOut struct {
	stops   []string
	pending []byte // not sent yet
	held    []TokenLogprob
	text    strings.Builder // sent
}

// push adds a token's bytes and returns what may be sent now. stopped is true
// when a stop string is complete; what follows it is thrown away.
func (o *textOut) push(piece []byte, lp *TokenLogprob) (c Chunk, stopped bool) {
	o.pending = append(o.pending, piece...)
	if lp != nil {
		o.held = append(o.held, *lp)
	}
	cut := -1
	for _, s := range o.stops {
		if i := bytes.Index(o.pending, []byte(s)); s != "" && i >= 0 && (cut < 0 || i < cut) {
			cut = i
		}
	}
	if cut >= 0 {
		c = o.send(cut)
		o.pending = nil
		return c, true
	}
	return o.send(len(o.pending) - max(o.stopPrefix(), incomplete(o.pending))), false
}

// flush returns what is left when no more tokens come.
func (o *textOut) flush() Chunk { return o.send(len(o.pending)) }

// send takes n bytes off the front. Bytes that are no UTF-8 become U+FFFD.
func (o *textOut) send(n int) Chunk {
	if n <= 0 {
		return Chunk{}
	}
	c := Chunk{Text: string(bytes.ToValidUTF8(o.pending[:n], []byte("\uFFFD"))), Logprobs: o.held}
	o.pending = o.pending[n:]
	o.held = nil
	o.text.WriteString(c.Text)
	return c
}

// stopPrefix is the length of the longest end of pending that begins a stop string.
func (o *textOut) stopPrefix() int {
	longest := 0
	for _, s := range o.stops {
		for n := min(len(s)-1, len(o.pending)); n > longest; n-- {
			if bytes.HasSuffix(o.pending, []byte(s[:n])) {
				longest = n
				break
			}
		}
	}
	return longest
}

// incomplete is the length of a UTF-8 character that has begun at the end of b
// and may yet be completed.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}

// logprob describes the chosen token and the n likeliest.
func (l *loop) logprob(logits []float32, tok int32, n int) *TokenLogprob {
	norm := logSumExp(logits)
	describe := func(t int32) TokenLogprob {
		b := l.m.VisiblePiece(t)
		p := float64(logits[t]) - norm
		if math.IsInf(p, -1) {
			p = -9999 // JSON has no infinity; OpenAI's own floor
		}
		return TokenLogprob{Token: string(bytes.ToValidUTF8(b, []byte("\uFFFD"))), Bytes: b, Logprob: p}
	}
	out := describe(tok)
	if n > 0 {
		for _, t := range likeliest(logits, n) {
			out.Top = append(out.Top, describe(t))
		}
	}
	return &out
}

// likeliest returns the n tokens with the highest logits, highest first.
func likeliest(logits []float32, n int) []int32 {
	top := make([]int32, 0, n+1)
	for t, v := range logits {
		if len(top) == n && v <= logits[top[n-1]] {
			continue
		}
		i := sort.Search(len(top), func(i int) bool { return logits[top[i]] < v })
		top = append(top, 0)
		copy(top[i+1:], top[i:])
		top[i] = int32(t)
		top = top[:min(len(top), n)]
	}
	return top
}
