package pii

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"testing"
)

func TestBG(t *testing.T) {
	f, err := os.Open(os.Getenv("BG"))
	if err != nil {
		t.Skip()
	}
	ent := os.Getenv("ENT")
	m, _ := New(MemoryVault(), Options{})
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<22)
	type ex struct {
		f    Finding
		line string
	}
	all := map[string][]ex{}
	n, total := 0, 0
	for s.Scan() {
		n++
		l := s.Text()
		for _, x := range m.Find(l) {
			if ent == "" || x.Entity == ent {
				total++
				k := x.Entity + " " + l[x.Start:x.End]
				all[k] = append(all[k], ex{x, l})
			}
		}
	}
	var keys []string
	for k := range all {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return len(all[keys[i]]) > len(all[keys[j]]) })
	fmt.Println(n, "lines", total, "findings", len(keys), "values")
	for i, k := range keys {
		if i > 250 {
			break
		}
		e := all[k][0]
		a, b := max(0, e.f.Start-45), min(len(e.line), e.f.End+30)
		fmt.Printf("%d %s [%.2f %s] …%s…\n", len(all[k]), k, e.f.Score, e.f.Evidence, e.line[a:b])
	}
}
