package archive

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

// Calm returns JSON in whose texts, names of fields included, U+FFFD stands for
// each character that a terminal would obey: control characters but for tab and
// line ends, and those that turn the direction of writing. JSON without any is
// returned as it is.
func Calm(raw []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // numbers stay as they are written
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	v, changed := calmed(v)
	if !changed {
		return raw, nil
	}
	return json.Marshal(v)
}

// calmed calms all texts of a decoded value.
func calmed(v any) (_ any, changed bool) {
	switch v := v.(type) {
	case string:
		out := strings.Map(calmRune, v)
		return out, out != v
	case []any:
		for i := range v {
			one, c := calmed(v[i])
			v[i], changed = one, changed || c
		}
		return v, changed
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			key := strings.Map(calmRune, name)
			one, c := calmed(x)
			out[key], changed = one, changed || c || key != name
		}
		return out, changed
	}
	return v, false
}

func calmRune(r rune) rune {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return r
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r) && r != '\u200e' && r != '\u200f' && r != '\u061c':
		return unicode.ReplacementChar
	}
	return r
}
