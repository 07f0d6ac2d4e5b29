package pii

import "unicode"

// allowList holds the values that stay, folded.
type allowList struct {
	values map[string]bool
}

func newAllowList(values []string) *allowList {
	a := &allowList{values: make(map[string]bool, len(values))}
	for _, v := range values {
		d := newDoc(v)
		if k := foldKey(d.r); k != "" {
			a.values[k] = true
		}
		d.free()
	}
	return a
}

// permits says whether the user allows the value of c.
func (a *allowList) permits(d *doc, c cand) bool {
	return len(a.values) > 0 && a.values[foldKey(d.r[c.start:c.end])]
}

// foldKey returns letters and digits of normalised runes in lower case: the
// form in which values are compared.
func foldKey(r []rune) string {
	key := make([]rune, 0, len(r))
	for _, c := range r {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			key = append(key, unicode.ToLower(c))
		}
	}
	return string(key)
}
