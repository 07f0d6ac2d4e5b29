package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"cloister/store/signing"
)

// Reader reads a bundle from its first byte to its last.
type Reader struct {
	r        io.Reader
	at       int64 // bytes read
	manifest Manifest
	sum      string
	next     int      // part
	part     *content // the one that is being read
	err      error
}

// Open reads the manifest and verifies its signature: from then on it is known
// what the key in it has signed. Whether that key is to be believed is the
// caller's to decide. The error wraps ErrFormat, ErrNewer, ErrDamaged or the
// error of r.
func Open(r io.Reader) (*Reader, error) {
	b := &Reader{r: r}
	raw, err := b.small(manifestName, maxManifest, ErrFormat)
	if err != nil {
		return nil, err
	}
	text, err := b.small(signatureName, block, ErrDamaged)
	if err != nil {
		return nil, err
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSuffix(text, []byte("\n"))))
	if err != nil || len(signature) != signing.SignatureSize || !bytes.Equal(signatureText(signature), text) {
		return nil, fmt.Errorf("%w: its signature does not read", ErrDamaged)
	}
	if b.manifest, err = decodeManifest(raw); err != nil {
		return nil, err
	}
	if err := b.manifest.Site.Key.Verify(Purpose, raw, signature); err != nil {
		return nil, fmt.Errorf("%w: the signature does not belong to the manifest", ErrDamaged)
	}
	sum := sha256.Sum256(raw)
	b.sum = hex.EncodeToString(sum[:])
	return b, nil
}

// Manifest returns what the bundle holds.
func (b *Reader) Manifest() Manifest { return b.manifest }

// Sum returns the SHA-256 of the manifest, which stands for the bundle.
func (b *Reader) Sum() string { return b.sum }

// small reads a file of the archive whose length only its header tells. wrong
// is the error for a header that is not the one it must be.
func (b *Reader) small(name string, most int64, wrong error) ([]byte, error) {
	raw := make([]byte, block)
	if err := b.full(raw); err != nil {
		if wrong == ErrFormat && errors.Is(err, ErrDamaged) {
			return nil, ErrFormat // shorter than any
		}
		return nil, err
	}
	size := sizeIn(raw)
	if size < 0 || size > most || !bytes.Equal(raw, header(name, size)) {
		return nil, fmt.Errorf("%w: %s is not where it must be", wrong, name)
	}
	data := make([]byte, size)
	if err := b.full(data); err != nil {
		return nil, err
	}
	return data, b.zeros(padding(size))
}

// full fills p. An early end is ErrDamaged.
func (b *Reader) full(p []byte) error {
	n, err := io.ReadFull(b.r, p)
	b.at += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends after %d bytes, before its end", ErrDamaged, b.at)
	}
	return err
}

// zeros reads n bytes that must be zero.
func (b *Reader) zeros(n int64) error {
	p := make([]byte, n)
	if err := b.full(p); err != nil {
		return err
	}
	if len(bytes.Trim(p, "\x00")) > 0 {
		return fmt.Errorf("%w: something stands where nothing may, before byte %d", ErrDamaged, b.at)
	}
	return nil
}

// Next returns the next part and its content, after it has read what was left
// of the one before. The error is io.EOF when all parts were read and the
// bundle has ended as it should: only then is all of it known to be whole. The
// content is not to be relied on before its own io.EOF.
func (b *Reader) Next() (Part, io.Reader, error) {
	if b.err == nil {
		b.err = b.advance()
	}
	if b.err != nil {
		return Part{}, nil, b.err
	}
	return b.part.part, b.part, nil
}

func (b *Reader) advance() error {
	if b.part != nil {
		if _, err := io.Copy(io.Discard, b.part); err != nil {
			return err
		}
	}
	if b.next == len(b.manifest.Parts) {
		return b.end()
	}
	p := b.manifest.Parts[b.next]
	raw := make([]byte, block)
	if err := b.full(raw); err != nil {
		return err
	}
	if !bytes.Equal(raw, header(p.Name, p.Bytes)) {
		return fmt.Errorf("%w: %s is not where it must be", ErrDamaged, p.Name)
	}
	b.next++
	b.part = &content{b: b, part: p, left: p.Bytes, sum: sha256.New()}
	return nil
}

// end reads the end of the archive, behind which nothing may follow.
func (b *Reader) end() error {
	if err := b.zeros(trailer); err != nil {
		return err
	}
	n, err := io.ReadFull(b.r, make([]byte, 1))
	if err == io.EOF {
		return io.EOF
	}
	if n > 0 {
		return fmt.Errorf("%w: something follows its end, at byte %d", ErrDamaged, b.at)
	}
	return err
}

// content is a part while it is read.
type content struct {
	b    *Reader
	part Part
	left int64
	sum  hash.Hash
	err  error
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		c.err = c.verify()
		return 0, c.err
	}
	n, err := c.b.r.Read(p[:min(int64(len(p)), c.left)])
	_, _ = c.sum.Write(p[:n]) // a hash does not fail
	c.left -= int64(n)
	c.b.at += int64(n)
	if err == io.EOF {
		err = nil
		if c.left > 0 {
			err = fmt.Errorf("%w: it ends after %d bytes, within %s", ErrDamaged, c.b.at, c.part.Name)
		}
	}
	c.err = err
	return n, err
}

// verify compares a part that was read with the manifest.
func (c *content) verify() error {
	if !fits(c.sum, c.part) {
		return fmt.Errorf("%w: %s was changed", ErrDamaged, c.part.Name)
	}
	if err := c.b.zeros(padding(c.part.Bytes)); err != nil {
		return err
	}
	return io.EOF
}

// ReadRecord reads a record whole and decodes it. The error wraps ErrFormat where
// it does not decode, or holds a text that a terminal would obey.
func ReadRecord(p Part, r io.Reader, v any) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if json.Unmarshal(raw, v) != nil { // its error can hold texts
		return fmt.Errorf("%w: %s does not read", ErrFormat, p.Name)
	}
	if calm, err := Calm(raw); err != nil || !bytes.Equal(calm, raw) {
		return fmt.Errorf("%w: %s holds characters that are no text", ErrFormat, p.Name)
	}
	return nil
}
