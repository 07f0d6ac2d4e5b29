package archive

import (
	"encoding/json"
	"strings"
	"testing"

	"cloister/store/signing"
)

// Whatever a manifest says, one that is taken has parts that tar can tell.
func FuzzManifest(f *testing.F) {
	m := Manifest{Format: format, Version: version, Program: "test", Site: Site{Name: "north", Key: signing.New().Public()},
		Bases: []Base{{Name: "b", Architecture: "llama", SHA256: strings.Repeat("ab", 32)}},
		Parts: []Part{{Name: "adapters/1.json", Bytes: 3, SHA256: strings.Repeat("cd", 32)}, {Name: "adapters/1.gguf", Bytes: 1 << 40, SHA256: strings.Repeat("cd", 32)}}}
	raw, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := decodeManifest(raw); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeManifest(raw)
		if err != nil {
			return
		}
		for _, p := range m.Parts {
			if got := sizeIn(header(p.Name, p.Bytes)); got != p.Bytes {
				t.Errorf("%s has the size %d, and its header says %d", p.Name, p.Bytes, got)
			}
		}
	})
}
