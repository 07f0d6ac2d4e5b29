package pack

import (
	"time"

	"cloister/store/pii/policy"
)

// Summary is what may be shown of a pack: all but the content of its policy and
// the checksums of its pieces.
type Summary struct {
	Path      string    `json:"path"`
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"manifest_sha256"`
	Name      string    `json:"name"`
	Target    string    `json:"target"`
	CreatedAt time.Time `json:"created_at"`
	Program   Program   `json:"program"`
	Signed    *Signed   `json:"signed,omitempty"`
	Policy    string    `json:"policy,omitempty"` // hash
	Parts     []Part    `json:"parts"`            // without pieces
}

// Signed says who signed a pack.
type Signed struct {
	Site        string `json:"site"`
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
}

// Summary describes the pack.
func (p *Pack) Summary() Summary {
	m := &p.Manifest
	s := Summary{Path: p.Path, Bytes: p.end, SHA256: p.SHA256, Name: m.Name, Target: m.Target, CreatedAt: m.CreatedAt, Program: m.Program}
	if g := p.Signature; g != nil {
		s.Signed = &Signed{g.Site, g.Key.String(), g.Key.Fingerprint()}
	}
	if len(m.Policy) > 0 {
		if parsed, err := policy.Parse("the packed policy", m.Policy, nil); err == nil { // Open has parsed it
			s.Policy = parsed.Hash()
		}
	}
	for _, part := range m.Parts {
		part.Pieces = nil
		s.Parts = append(s.Parts, part)
	}
	return s
}
