package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"cloister/appliance/ctxio"
)

// Damage is a range of bytes that are not what they were.
type Damage struct {
	Part     string // what lies there
	From, To int64  // bytes of the file, To not included
}

// DamageError says where a pack is damaged.
type DamageError struct {
	Path    string
	Damages []Damage // at least one, in order
}

// maxNamed bounds the ranges that an error names.
const maxNamed = 5

func (e *DamageError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is damaged: ", e.Path)
	for i, d := range e.Damages {
		if i == maxNamed {
			fmt.Fprintf(&b, ", and %d more ranges", len(e.Damages)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "bytes %d to %d (%s)", d.From, d.To-1, d.Part)
	}
	b.WriteString("; copy it again from where it came from")
	return b.String()
}

// verifier reads a pack once from its beginning to its end.
type verifier struct {
	f        io.ReaderAt
	ctx      context.Context
	progress func(done, total int64)
	end      int64
	found    []Damage
}

// Verify reads the whole file and compares it with the manifest. The error is a
// *DamageError with all damaged ranges, to the piece. progress, which may be nil,
// is called with bytes.
func (p *Pack) Verify(ctx context.Context, progress func(done, total int64)) error {
	f, err := os.Open(p.file)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() != p.end {
		return fmt.Errorf("%s has %d bytes, and had %d when it was opened; somebody writes to it", p.Path, info.Size(), p.end)
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	v := &verifier{f: f, ctx: ctx, progress: progress, end: p.manifestAt}
	next := int64(0)
	for i := range p.Manifest.Parts {
		part := &p.Manifest.Parts[i]
		if err := v.between(next, part.Offset); err != nil {
			return err
		}
		if err := v.part(part, p.Manifest.PieceBytes); err != nil {
			return err
		}
		next = part.Offset + part.Length
	}
	if err := v.between(next, p.manifestAt); err != nil {
		return err
	}
	if len(v.found) > 0 {
		return &DamageError{p.Path, v.found}
	}
	return nil
}

// part compares the pieces of a part with their checksums.
func (v *verifier) part(p *Part, piece int64) error {
	h := sha256.New()
	for i, want := range p.Pieces {
		from := p.Offset + int64(i)*piece
		to := min(from+piece, p.Offset+p.Length)
		h.Reset()
		if _, err := io.Copy(h, ctxio.Reader(v.ctx, io.NewSectionReader(v.f, from, to-from))); err != nil {
			return err
		}
		if hex.EncodeToString(h.Sum(nil)) != want {
			v.add(Damage{p.String(), from, to})
		}
		v.progress(to, v.end)
	}
	return nil
}

// between checks what lies between two parts: zeros, but for the head.
func (v *verifier) between(from, to int64) error {
	b := make([]byte, to-from)
	if to-from > 3*page {
		return fmt.Errorf("its manifest is wrong: %d bytes at %d belong to no part", to-from, from)
	}
	if _, err := v.f.ReadAt(b, from); err != nil {
		return err
	}
	if at := pad(from, page) - from; int64(len(b)) >= at+int64(len(headMagic)) && bytes.HasPrefix(b[at:], headMagic) {
		clear(b[at : at+int64(len(headMagic))])
	}
	if len(bytes.Trim(b, "\x00")) > 0 {
		v.add(Damage{"between its parts", from, to})
	}
	return nil
}

// add notes a damage, as one with that before it where it goes on.
func (v *verifier) add(d Damage) {
	if n := len(v.found); n > 0 && v.found[n-1].To == d.From && v.found[n-1].Part == d.Part {
		v.found[n-1].To = d.To
		return
	}
	v.found = append(v.found, d)
}
