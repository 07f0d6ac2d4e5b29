package sched

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextOut(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stops  []string
		pieces []string
		want   []string // chunks, the flushed rest last; "" stands for none
		stop   bool
	}{
		{"plain", nil, []string{"Hel", "lo"}, []string{"Hel", "lo", ""}, false},
		{"character in two tokens", nil, []string{"a\xed", "\x95\x9c", "b"}, []string{"a", "한", "b", ""}, false},
		{"never completed", nil, []string{"a\xed\x95"}, []string{"a", "\uFFFD"}, false},
		{"no UTF-8 at all", nil, []string{"a\xff\xfeb"}, []string{"a\uFFFDb", ""}, false},
		{"stop over token borders", []string{"\nUser:"}, []string{"Yes.\n", "Us", "er", ": more"}, []string{"Yes.", "", "", ""}, true},
		{"almost a stop", []string{"\nUser:"}, []string{"Yes.\n", "Us", "ually"}, []string{"Yes.", "", "\nUsually", ""}, false},
		{"stop at once", []string{"END"}, []string{"END"}, []string{""}, true},
		{"the earliest of two stops", []string{"b", "ab"}, []string{"xaby"}, []string{"x"}, true},
		{"self-overlapping stop", []string{"aab"}, []string{"aa", "a", "b"}, []string{"", "a", ""}, true},
		{"stop after a wide character", []string{"。"}, []string{"네\xe3\x80", "\x82아니오"}, []string{"네", ""}, true},
	} {
		o := textOut{stops: tt.stops}
		var got []string
		stopped := false
		for _, p := range tt.pieces {
			var c Chunk
			c, stopped = o.push([]byte(p), nil)
			got = append(got, c.Text)
			if stopped {
				break
			}
		}
		if !stopped {
			got = append(got, o.flush().Text)
		}
		if strings.Join(got, "|") != strings.Join(tt.want, "|") || stopped != tt.stop {
			t.Errorf("%s: got %q stopped %v, want %q stopped %v", tt.name, got, stopped, tt.want, tt.stop)
		}
		if o.text.String() != strings.Join(got, "") {
			t.Errorf("%s: the whole text is %q, the chunks make %q", tt.name, o.text.String(), strings.Join(got, ""))
		}
	}
}

// Whatever the tokens are: chunks are valid UTF-8, hold no stop string, and do
// not depend on where the borders between tokens are, in sum.
func FuzzTextOut(f *testing.F) {
	f.Add([]byte("Hello\nUser: 한국어"), "\nUser:", uint8(3))
	f.Add([]byte("aaab\xed\x95"), "aab", uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, stop string, step uint8) {
		if !utf8.ValidString(stop) {
			return
		}
		run := func(n int) string {
			o := textOut{stops: []string{stop}}
			for i := 0; i < len(b); i += n {
				c, stopped := o.push(b[i:min(i+n, len(b))], nil)
				if !utf8.ValidString(c.Text) {
					t.Fatalf("chunk %q is not UTF-8", c.Text)
				}
				if stopped {
					return o.text.String()
				}
			}
			o.flush()
			return o.text.String()
		}
		whole, parts := run(max(len(b), 1)), run(int(step)+1)
		if utf8.Valid(b) && whole != parts {
			t.Fatalf("in one piece %q, in pieces of %d %q", whole, step+1, parts)
		}
		if stop != "" && utf8.Valid(b) && strings.Contains(parts, stop) {
			t.Fatalf("%q holds the stop string %q", parts, stop)
		}
	})
}
