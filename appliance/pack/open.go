package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"cloister/appliance/engine"
	"cloister/llama/gguf"
)

// ErrNone says that a file is a program, or anything else, without models in it.
var ErrNone = errors.New("the file carries no models")

// Pack is a file that carries models.
type Pack struct {
	Path     string
	Manifest Manifest
	// SHA256 is that of the manifest, and so stands for the whole.
	SHA256    string
	Signature *Signature // nil: not signed
	file      string     // to open; Path is for people and records
	// manifestAt and end are the places of the manifest and of the file's end.
	manifestAt, end int64
}

// Region names a part as files are named to those who read GGUF.
func (p *Pack) Region(part *Part) string {
	return gguf.Region{Path: p.Path, Offset: part.Offset, Length: part.Length}.String()
}

const (
	page         = 4096
	trailerBytes = 16 + 3*8 + sha256.Size
	maxManifest  = 256 << 20
	maxSignature = 4 << 10
)

// What a head and a trailer begin with.
var (
	headMagic    = []byte("CLOISTER PACK >\n")
	trailerMagic = []byte("CLOISTER PACK <\n")
)

// trailer is the end of a pack.
type trailer struct {
	manifestAt, manifest, signature int64
	sum                             [sha256.Size]byte
}

func (t *trailer) bytes() []byte {
	b := bytes.Clone(trailerMagic)
	for _, n := range []int64{t.manifestAt, t.manifest, t.signature} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return append(b, t.sum[:]...)
}

// Open finds the pack in a file and checks its trailer, manifest, signature and
// the places of its parts. The error wraps ErrNone when there is none, and is a
// *DamageError when there was one.
func Open(path string) (*Pack, error) { return find(path, path) }

// Self is the pack in the file that this process runs, also when its name leads
// to another file by now.
func Self() (*Pack, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return find(path, engine.Self)
}

func find(path, file string) (*Pack, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	p := &Pack{Path: path, file: file, end: info.Size()}
	return p, p.open(f)
}

func (p *Pack) open(f io.ReaderAt) error {
	damaged := func(what string, from, to int64) error {
		return &DamageError{Path: p.Path, Damages: []Damage{{what, from, to}}}
	}
	var tail [trailerBytes]byte
	at := p.end - trailerBytes
	if at >= 0 {
		if _, err := f.ReadAt(tail[:], at); err != nil {
			return err
		}
	}
	if at < 0 || !bytes.HasPrefix(tail[:], trailerMagic) {
		if begun(f) {
			return damaged("the end; the file was cut, or its last bytes were changed", max(at, 0), p.end)
		}
		return fmt.Errorf("%s: %w", p.Path, ErrNone)
	}
	number := func(i int) int64 { return int64(binary.LittleEndian.Uint64(tail[16+8*i:])) }
	t := trailer{number(0), number(1), number(2), [sha256.Size]byte(tail[16+3*8:])}
	if t.manifest < 2 || t.manifest > maxManifest || t.signature < 0 || t.signature > maxSignature || t.manifestAt != at-t.signature-t.manifest {
		return damaged("the end; the file was cut, or its last bytes were changed", at, p.end)
	}
	raw := make([]byte, t.manifest+t.signature)
	if _, err := f.ReadAt(raw, t.manifestAt); err != nil {
		return err
	}
	manifest, signature := raw[:t.manifest], raw[t.manifest:]
	if sha256.Sum256(manifest) != t.sum {
		return damaged("the list of its parts, or its checksum", t.manifestAt, p.end)
	}
	var err error
	if p.Manifest, err = parse(manifest, t.manifestAt); err != nil {
		return fmt.Errorf("%s: %w", p.Path, err)
	}
	p.SHA256, p.manifestAt = hex.EncodeToString(t.sum[:]), t.manifestAt
	if t.signature == 0 {
		return nil
	}
	p.Signature = new(Signature)
	if json.Unmarshal(signature, p.Signature) != nil || p.Signature.Key.Verify(Purpose, t.sum[:], p.Signature.Bytes) != nil {
		p.Signature = nil
		return damaged("the signature, or what it signs", t.manifestAt, p.end)
	}
	return nil
}

// begun reports whether a program is followed by the head of a pack.
func begun(f io.ReaderAt) bool {
	end, err := programEnd(f)
	if err != nil {
		return false
	}
	head := make([]byte, len(headMagic))
	_, err = f.ReadAt(head, pad(end, page))
	return err == nil && bytes.Equal(head, headMagic)
}

func pad(n, to int64) int64 { return (n + to - 1) / to * to }
