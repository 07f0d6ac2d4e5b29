package pii

import (
	"strings"
	"sync"
)

// gazetteer knows the provinces of Korea and the districts in them.
type gazetteer struct {
	provinces map[string]uint32 // name → bit of the province
	districts map[string]uint32 // name → bits of the provinces that have one
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
	return g
})
