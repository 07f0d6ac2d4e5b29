package pii

import (
	"iter"
	"strings"
)

// Districts visits the districts of Korea (시, 군, 구) that a text names, with
// the province of those whose name is in one only, such as 강남구 and 서울; ""
// for others, such as 중구. Particles may follow the name.
func Districts(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		d := newDoc(text, nil)
		defer d.free()
		g := places()
		for i := 0; i < len(d.r); {
			if d.cls[i] != cHangul {
				i++
				continue
			}
			end := i
			for end < len(d.r) && d.cls[end] == cHangul {
				end++
			}
			for n := min(end-i, 8); n >= 2; n-- {
				name := d.r[i : i+n]
				last := name[n-1]
				bits := g.district(name)
				if bits == 0 || last != '시' && last != '군' && last != '구' {
					continue
				}
				// Where something is, and what else follows a noun.
				if rest := string(d.r[i+n : end]); !strings.HasPrefix(rest, "에") && !FollowsName(rest, hasCoda(last)) {
					continue
				}
				if !yield(string(name), g.only(bits)) {
					return
				}
				break
			}
			i = end
		}
	}
}

// only is the shortest name of the one province that has a bit, "" if there are more.
func (g *gazetteer) only(bits uint32) string {
	if bits&(bits-1) != 0 {
		return ""
	}
	best := ""
	for name, b := range g.provinces {
		if b == bits && (best == "" || len(name) < len(best) || len(name) == len(best) && name < best) {
			best = name
		}
	}
	return best
}
