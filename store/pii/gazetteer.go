package pii

import (
	"strings"
	"sync"
)

// gazetteer knows the provinces of Korea and the districts in them.
type gazetteer struct {
	provinces map[string]uint32  // name → bit of the province
	districts map[string]uint32  // name → bits of the provinces that have one
	keys      runeMap[[2]uint32] // the same, provinces first
}

func (g *gazetteer) province(r []rune) uint32 {
	bits, _ := g.keys.get(r)
	return bits[0]
}

func (g *gazetteer) district(r []rune) uint32 {
	bits, _ := g.keys.get(r)
	return bits[1]
}

var places = sync.OnceValue(func() *gazetteer {
	g := &gazetteer{provinces: map[string]uint32{}, districts: map[string]uint32{}}
	for i, line := range dataLines("districts.txt") {
		names, list, _ := strings.Cut(line, ":")
		bit := uint32(1) << i
		for n := range strings.SplitSeq(names, "|") {
			g.provinces[n] |= bit
		}
		for _, n := range strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == '(' || r == ')' }) {
			g.districts[n] |= bit
		}
	}
	for i, m := range []map[string]uint32{g.provinces, g.districts} {
		for name, bits := range m {
			v, _ := g.keys.get([]rune(name))
			v[i] = bits
			g.keys.put([]rune(name), v)
		}
	}
	return g
})
