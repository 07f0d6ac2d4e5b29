package pack

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"cloister/appliance/ctxio"
	"cloister/llama/gguf"
	"cloister/lora/atomicfile"
)

// Source is a part to write. Its place and its checksums are found by Write.
type Source struct {
	Part
	// Path is a GGUF file, as gguf.Open names it; of the program, the path of an
	// executable, of which a pack that it carries is left out.
	Path string
}

// Spec says what to pack.
type Spec struct {
	Name, Target string // see Manifest
	Program      Program
	Sources      []Source // in the order of Manifest.Parts
	Policy       json.RawMessage
	// Sign signs the SHA-256 of the manifest for Purpose; nil leaves the pack unsigned.
	Sign func(sum []byte) (Signature, error)
	// Progress is called with bytes that are written, of all; may be nil.
	Progress func(done, total int64)
}

// Write writes a pack. The path must not exist; the file is there whole or not
// at all, and executable.
func Write(ctx context.Context, path string, s Spec) (_ *Pack, err error) {
	w := &writer{ctx: ctx, spec: &s, progress: s.Progress}
	if w.progress == nil {
		w.progress = func(int64, int64) {}
	}
	defer func() { err = errors.Join(err, w.closeSources()) }()
	if err := w.openSources(); err != nil {
		return nil, err
	}
	if err := atomicfile.Room(path, w.total); err != nil {
		return nil, err
	}
	partial := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"-"+rand.Text()+".partial")
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(partial)
		}
	}()
	w.out = bufio.NewWriterSize(f, 1<<20)
	if err := w.write(); err != nil {
		return nil, err
	}
	if err := errors.Join(w.out.Flush(), f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if _, err := Open(partial); err != nil { // what cannot be read is not left behind
		return nil, err
	}
	if err := atomicfile.Room(path, 0); err != nil { // nobody else took the name meanwhile
		return nil, err
	}
	if err := os.Rename(partial, path); err != nil {
		return nil, err
	}
	if err := atomicfile.SyncFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return Open(path)
}

// writer writes one file.
type writer struct {
	ctx      context.Context
	spec     *Spec
	sources  []*gguf.Section
	shifts   []int64 // bytes behind a page's beginning at which each part begins
	out      *bufio.Writer
	pos      int64
	total    int64 // bytes of all parts
	progress func(done, total int64)
}

// alignment is what llama.cpp wants of the places of tensors that it maps:
// TENSOR_ALIGNMENT of ggml's CPU buffers.
const alignment = 32

func (w *writer) openSources() error {
	for i := range w.spec.Sources {
		src := &w.spec.Sources[i]
		path, shift := src.Path, int64(0)
		if src.Role == RoleProgram {
			length, err := ProgramLength(src.Path)
			if err != nil {
				return fmt.Errorf("%s: %w", src.Path, err)
			}
			path = gguf.Region{Path: src.Path, Length: length}.String()
		} else {
			f, err := gguf.OpenHeader(src.Path)
			if err != nil {
				return err
			}
			if len(f.Tensors) > 0 {
				shift = pad(int64(f.Tensors[0].Offset), alignment) - int64(f.Tensors[0].Offset)
			}
		}
		s, err := gguf.OpenSection(path)
		if err != nil {
			return err
		}
		w.sources, w.shifts = append(w.sources, s), append(w.shifts, shift)
		w.total += s.Size()
	}
	return nil
}

func (w *writer) closeSources() error {
	var errs []error
	for _, s := range w.sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// ProgramLength is the number of bytes of an executable without the pack that it
// may carry.
func ProgramLength(path string) (int64, error) {
	p, err := Open(path)
	if err == nil {
		return p.Manifest.Parts[0].Length, nil
	}
	if !errors.Is(err, ErrNone) {
		return 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return programEnd(f)
}

func (w *writer) write() error {
	m := Manifest{
		Format: format, Name: w.spec.Name, Target: w.spec.Target, CreatedAt: time.Now().UTC().Truncate(time.Second),
		Program: w.spec.Program, PieceBytes: pieceBytes, Policy: w.spec.Policy,
	}
	for i, s := range w.sources {
		part, err := w.part(w.spec.Sources[i].Part, s, w.shifts[i])
		if err != nil {
			return err
		}
		m.Parts = append(m.Parts, part)
		if i == 0 {
			w.align(0)
			w.bytes(headMagic)
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	w.align(0)
	t := trailer{manifestAt: w.pos, manifest: int64(len(raw)), sum: sha256.Sum256(raw)}
	w.bytes(raw)
	if w.spec.Sign != nil {
		s, err := w.spec.Sign(t.sum[:])
		if err != nil {
			return err
		}
		if raw, err = json.Marshal(s); err != nil {
			return err
		}
		t.signature = int64(len(raw))
		w.bytes(raw)
	}
	w.bytes(t.bytes())
	return nil
}

// bytes writes; an error of it stays in the buffered writer until the end.
func (w *writer) bytes(b []byte) {
	n, _ := w.out.Write(b)
	w.pos += int64(n)
}

// align writes zeros up to shift bytes behind the next page.
func (w *writer) align(shift int64) {
	w.bytes(make([]byte, pad(w.pos, page)+shift-w.pos))
}

// part copies a part and takes its checksums.
func (w *writer) part(p Part, src *gguf.Section, shift int64) (Part, error) {
	w.align(shift)
	p.Offset, p.Length, p.Pieces = w.pos, src.Size(), nil
	whole, piece := sha256.New(), sha256.New()
	for done := int64(0); done < p.Length; {
		n := min(pieceBytes, p.Length-done)
		piece.Reset()
		if _, err := io.CopyN(io.MultiWriter(w.out, whole, piece), ctxio.Reader(w.ctx, src), n); err != nil {
			return p, fmt.Errorf("%s: %w", w.spec.Name, err)
		}
		done += n
		w.pos += n
		p.Pieces = append(p.Pieces, text(piece))
		w.progress(w.written(), w.total)
	}
	sum := text(whole)
	if p.SHA256 != "" && p.SHA256 != sum {
		return p, fmt.Errorf("the file of %s has changed since it was imported: its checksum is another one", p.Name)
	}
	p.SHA256 = sum
	return p, nil
}

// written is about how many bytes of parts are written.
func (w *writer) written() int64 { return min(w.pos, w.total) }

func text(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
