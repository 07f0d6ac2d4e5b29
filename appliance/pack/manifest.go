package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cloister/appliance/models"
	"cloister/store/pii/policy"
	"cloister/store/signing"
)

// Role says what a part is.
type Role string

// The roles. A pack has one program at its beginning, one model and any number
// of adapters on it, in this order.
const (
	RoleProgram Role = "program"
	RoleModel   Role = "model"
	RoleAdapter Role = "adapter"
)

// Program says of which build the program is.
type Program struct {
	Version  string `json:"version"`
	Platform string `json:"platform"` // such as "linux/amd64"
}

// Part is a range of bytes of the file.
type Part struct {
	Role   Role     `json:"role"`
	Name   string   `json:"name"` // that the model is used by
	Offset int64    `json:"offset"`
	Length int64    `json:"length"`
	SHA256 string   `json:"sha256"`
	Pieces []string `json:"pieces,omitempty"` // SHA-256 of each PieceBytes, the last one shorter

	Architecture string `json:"architecture,omitempty"` // of a model
	Parameters   int64  `json:"parameters,omitempty"`
	// System is the system prompt that an adapter was trained with.
	System    string    `json:"system,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"` // of an adapter
}

// String names the part for people.
func (p *Part) String() string {
	if p.Role == RoleProgram {
		return "the program"
	}
	return fmt.Sprintf("the %s %s", p.Role, p.Name)
}

// Manifest says what is in a pack. It holds the masking policy, whose word lists
// and allowed values are personal data: it is not for logs.
type Manifest struct {
	Format int `json:"format"` // 1
	// Name is the alias that leads to Target, and the name by which later packs
	// of the same thing are known.
	Name       string          `json:"name"`
	Target     string          `json:"target"` // name of a part
	CreatedAt  time.Time       `json:"created_at"`
	Program    Program         `json:"program"`
	PieceBytes int64           `json:"piece_bytes"`
	Parts      []Part          `json:"parts"`
	Policy     json.RawMessage `json:"policy,omitempty"` // policy.Policy in its canonical form
}

// Model is the base model.
func (m *Manifest) Model() *Part { return &m.Parts[1] }

// Adapters are the adapters on the model.
func (m *Manifest) Adapters() []Part { return m.Parts[2:] }

// Signature says who signed the SHA-256 of a manifest.
type Signature struct {
	Site  string            `json:"site"` // as the signer calls itself
	Key   signing.PublicKey `json:"key"`
	Bytes []byte            `json:"signature"`
}

// Purpose is what packs are signed for; see package signing. The message is the
// 32 bytes of the manifest's SHA-256.
const Purpose = "cloister pack 1"

const (
	format     = 1
	pieceBytes = 16 << 20
	maxParts   = 1000
)

// parse reads a manifest of a file of which the parts lie before end.
func parse(raw []byte, end int64) (Manifest, error) {
	var m Manifest
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return m, fmt.Errorf("its manifest is no JSON: %w", err)
	}
	if head.Format != format {
		return m, fmt.Errorf("its manifest is of format %d, and this program reads format %d; use the program in the file itself", head.Format, format)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("its manifest does not read: %w", err)
	}
	if err := m.validate(end); err != nil {
		return m, fmt.Errorf("its manifest is wrong: %w", err)
	}
	return m, nil
}

// validate holds a manifest to what the rest of the package relies on.
func (m *Manifest) validate(end int64) error {
	if len(m.Parts) < 2 || len(m.Parts) > maxParts {
		return fmt.Errorf("it names %d parts", len(m.Parts))
	}
	if !models.GoodName(m.Name) || m.Name == m.Model().Name {
		return fmt.Errorf("%q is not a good name for it", m.Name)
	}
	if m.PieceBytes < 4096 || m.PieceBytes > 1<<30 {
		return fmt.Errorf("its pieces have %d bytes", m.PieceBytes)
	}
	next, names := int64(0), map[string]bool{}
	for i := range m.Parts {
		p := &m.Parts[i]
		if err := p.validate(i, m.PieceBytes); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		if p.Offset < next || p.Offset > end || p.Length > end-p.Offset {
			return fmt.Errorf("part %d lies outside the file or inside another part", i)
		}
		next = p.Offset + p.Length
		if names[p.Name] {
			return fmt.Errorf("the name %q is there twice", p.Name)
		}
		names[p.Name] = true
	}
	if m.Target == "" || !names[m.Target] {
		return fmt.Errorf("its target %q is none of its models", m.Target)
	}
	if len(m.Policy) > 0 {
		if _, err := policy.Parse("the policy in it", m.Policy, nil); err != nil {
			return err
		}
	}
	return nil
}

// validate checks the part with an index.
func (p *Part) validate(i int, piece int64) error {
	want := RoleAdapter
	switch i {
	case 0:
		want = RoleProgram
	case 1:
		want = RoleModel
	}
	switch {
	case p.Role != want:
		return fmt.Errorf("it is a %q, not a %q", p.Role, want)
	case p.Length < 1 || (p.Role == RoleProgram) != (p.Offset == 0):
		return fmt.Errorf("it has %d bytes at %d", p.Length, p.Offset)
	case p.Role == RoleProgram && p.Name != "":
		return errors.New("the program has a name")
	case p.Role == RoleModel && !models.GoodName(p.Name), p.Role == RoleAdapter && !models.GoodAdapterName(p.Name):
		return fmt.Errorf("%q is not a good name for a model", p.Name)
	case int64(len(p.Pieces)) != (p.Length+piece-1)/piece:
		return fmt.Errorf("it has %d checksums of pieces", len(p.Pieces))
	}
	for _, sum := range append([]string{p.SHA256}, p.Pieces...) {
		if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
			return errors.New("it has a checksum that is none")
		}
	}
	return nil
}
