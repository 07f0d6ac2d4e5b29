package archive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cloister/store/signing"
)

const (
	// Purpose is what a bundle's signature is made for.
	Purpose = "cloister bundle 1"

	format  = "cloister-bundle"
	version = 1

	manifestName  = "manifest.json"
	signatureName = "manifest.sig"
)

// Bounds of what a Reader takes.
const (
	maxManifest = 4 << 20  // bytes
	maxParts    = 10_000   // of them
	maxRecords  = 64 << 20 // bytes of all JSON parts
	maxPart     = 1 << 40  // bytes
	maxText     = 300      // bytes of a name
)

// Errors that callers tell apart. Others are of the reader below, or of its end.
var (
	// ErrFormat says that a file is no bundle, or not one that this program reads.
	ErrFormat = errors.New("it is no bundle of Cloister, or its beginning is damaged")
	// ErrNewer says that a newer version of Cloister made it.
	ErrNewer = errors.New("a newer version of Cloister made it")
	// ErrDamaged says that it is not what was signed: changed, or cut short.
	ErrDamaged = errors.New("it is not as it was signed")
)

// Manifest says what a bundle holds.
type Manifest struct {
	Format    string    `json:"format"`
	Version   int       `json:"version"`
	Program   string    `json:"program"` // version of the program that wrote it
	CreatedAt time.Time `json:"created_at"`
	Site      Site      `json:"site"` // that signed it
	// Bases are the base models that the adapters need. They do not come along.
	Bases []Base `json:"bases"`
	Parts []Part `json:"parts"`
}

// Site is who signed a bundle, in its own words.
type Site struct {
	Name string            `json:"name"`
	Key  signing.PublicKey `json:"key"`
}

// Base is a base model as a site knows it: sha256 decides whether another site
// has it, whatever the name there.
type Base struct {
	Name         string `json:"name"`
	Architecture string `json:"architecture"`
	Parameters   int64  `json:"parameters"`
	Bytes        int64  `json:"bytes"`
	SHA256       string `json:"sha256"`
}

// Part is a file in the bundle: "<kind>/<number>.json", a record, or
// "<kind>/<number>.gguf".
type Part struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// IsRecord reports whether the part is a JSON record.
func (p Part) IsRecord() bool { return strings.HasSuffix(p.Name, ".json") }

// decodeManifest reads a manifest and holds it to the rules.
func decodeManifest(raw []byte) (Manifest, error) {
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(raw, &head); err != nil || head.Format != format {
		return Manifest{}, fmt.Errorf("%w: the manifest does not read", ErrFormat)
	}
	if head.Version > version {
		return Manifest{}, fmt.Errorf("%w: its version is %d, and this program reads %d", ErrNewer, head.Version, version)
	}
	var m Manifest
	if err := decodeStrictly(raw, &m); err != nil {
		// The error of a decoder can hold texts of its input.
		return Manifest{}, fmt.Errorf("%w: the manifest does not read", ErrFormat)
	}
	if err := m.valid(); err != nil {
		return Manifest{}, fmt.Errorf("%w: the manifest: %w", ErrFormat, err)
	}
	return m, nil
}

// decodeStrictly decodes JSON in which nothing is unknown and nothing left over.
func decodeStrictly(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows")
	}
	return nil
}

// goodPart leads out of no folder, and is short enough for any tar header.
var goodPart = regexp.MustCompile(`^[a-z]{1,20}/[1-9][0-9]{0,5}\.(json|gguf)$`)

// valid says which rule a manifest breaks. Names are shown to people before
// anybody trusts them, so they hold nothing that a terminal would obey.
func (m *Manifest) valid() error {
	if m.Version != version {
		return fmt.Errorf("its version is %d", m.Version)
	}
	if m.Site.Key == (signing.PublicKey{}) {
		return errors.New("it names no key")
	}
	for _, text := range []string{m.Program, m.Site.Name} {
		if !Plain(text) {
			return errors.New("a name in it is not plain text")
		}
	}
	for i, b := range m.Bases {
		if !Plain(b.Name) || !Plain(b.Architecture) || !isSum(b.SHA256) || b.Bytes < 0 || b.Parameters < 0 {
			return fmt.Errorf("base model %d in it is not described as it should be", i+1)
		}
	}
	if len(m.Parts) == 0 || len(m.Parts) > maxParts {
		return fmt.Errorf("it lists %d parts; a bundle has 1 to %d", len(m.Parts), maxParts)
	}
	seen, records, behind := map[string]bool{}, int64(0), false
	for i, p := range m.Parts {
		if !goodPart.MatchString(p.Name) || seen[p.Name] {
			return fmt.Errorf("the name of part %d is not one of a part, or stands there twice", i+1)
		}
		seen[p.Name] = true
		if p.Bytes < 0 || p.Bytes > maxPart || !isSum(p.SHA256) {
			return fmt.Errorf("part %d is not described as it should be", i+1)
		}
		if !p.IsRecord() {
			behind = true
			continue
		}
		if behind {
			return fmt.Errorf("part %d is a record behind an adapter", i+1)
		}
		if records += p.Bytes; records > maxRecords {
			return fmt.Errorf("its records have more than %d bytes together", int64(maxRecords))
		}
	}
	return nil
}

// Plain reports whether a text from another site is a short line that can be
// shown as it is.
func Plain(s string) bool {
	if s == "" || len(s) > maxText || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// isSum reports whether s is a SHA-256 in small hexadecimal digits.
func isSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}
