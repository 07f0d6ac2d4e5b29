package vault

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
)

// Sizes of the stream format in bytes.
const (
	streamMagic = "CLOISTR1"
	saltSize    = 32
	headerSize  = len(streamMagic) + saltSize
	chunkSize   = 64 << 10
	tagSize     = 16
	sealedChunk = chunkSize + tagSize
)

// Writer seals what is written to it. Close seals the last chunk: without it
// the stream counts as cut short.
type Writer struct {
	w      io.Writer
	chunks chunks
	buf    []byte // plain text that waits, at most one chunk
	out    []byte
	err    error
}

// NewWriter writes the header of a sealed stream to w. It holds one chunk in
// memory, whatever the length of the stream. The format, which borrows from
// age's STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015):
//
//	"CLOISTR1" | 32 random bytes | chunk | … | last chunk
//
// A chunk is the AES-256-GCM of 64 KiB; the last one is shorter or as long, and
// empty only when the whole stream is. Its key is HKDF(key, salt: the random
// bytes), its nonce the number of the chunk (11 bytes, big endian, from 0) and
// 1 for the last chunk or 0, and its additional data the context. So chunks
// that are changed, swapped, missing, added, or taken from another stream do
// not open.
func NewWriter(w io.Writer, key Key, context string) (*Writer, error) {
	header := make([]byte, headerSize)
	copy(header, streamMagic)
	_, _ = rand.Read(header[len(streamMagic):])
	if _, err := w.Write(header); err != nil {
		return nil, err
	}
	return &Writer{w: w, chunks: newChunks(key, header, context), buf: make([]byte, 0, chunkSize)}, nil
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && w.err == nil {
		if len(w.buf) == chunkSize { // more follows, so this is not the last one
			w.flush(false)
			continue
		}
		n := min(len(p), chunkSize-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		written += n
	}
	return written, w.err
}

// Close seals the last chunk. It does not close the writer below.
func (w *Writer) Close() error {
	if w.err == nil {
		w.flush(true)
	}
	if w.err == nil {
		w.err = errClosed
		return nil
	}
	if errors.Is(w.err, errClosed) {
		return nil
	}
	return w.err
}

var errClosed = errors.New("the sealed stream is closed")

func (w *Writer) flush(last bool) {
	w.out = w.chunks.aead.Seal(w.out[:0], w.chunks.next(last), w.buf, w.chunks.context)
	w.buf = w.buf[:0]
	_, w.err = w.w.Write(w.out)
}

// Reader opens a sealed stream. It returns no byte before the chunk that holds
// it was verified, and io.EOF only after the last chunk, with nothing behind
// it; anything else is ErrDamaged, and stays so.
type Reader struct {
	r      *bufio.Reader
	chunks chunks
	sealed []byte
	plain  []byte // verified and not yet read
	err    error
}

// NewReader reads the header of a stream that NewWriter began with the same key
// and context.
func NewReader(r io.Reader, key Key, context string) (*Reader, error) {
	br := bufio.NewReaderSize(r, sealedChunk)
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(br, header); err != nil {
		return nil, damagedAtEOF(err)
	}
	if !bytes.HasPrefix(header, []byte(streamMagic)) {
		return nil, ErrDamaged
	}
	return &Reader{r: br, chunks: newChunks(key, header, context), sealed: make([]byte, sealedChunk)}, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.plain) == 0 && r.err == nil {
		r.open()
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

// open reads and verifies the next chunk.
func (r *Reader) open() {
	first := r.chunks.n == 0
	n, err := io.ReadFull(r.r, r.sealed)
	if err != nil && err != io.ErrUnexpectedEOF {
		r.err = damagedAtEOF(err)
		return
	}
	last := err == io.ErrUnexpectedEOF
	if !last {
		if _, err := r.r.Peek(1); err == io.EOF {
			last = true
		} else if err != nil {
			r.err = err
			return
		}
	}
	plain, err := r.chunks.aead.Open(r.sealed[:0], r.chunks.next(last), r.sealed[:n], r.chunks.context)
	if err != nil || last && len(plain) == 0 && !first {
		r.err = ErrDamaged
		return
	}
	r.plain = plain
	if last {
		r.err = io.EOF
	}
}

// damagedAtEOF turns an early end into ErrDamaged and leaves errors of the disk as they are.
func damagedAtEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrDamaged
	}
	return err
}

// chunks is what both directions share: the cipher and the number of the next chunk.
type chunks struct {
	aead    cipher.AEAD
	context []byte
	n       uint64
	nonce   [12]byte
}

func newChunks(key Key, header []byte, context string) chunks {
	streamKey := derive(key.b[:], header[len(streamMagic):], "stream/1")
	return chunks{aead: streamKey.gcm(cipher.NewGCM), context: []byte(context)}
}

// next returns the nonce of the next chunk; it is valid until the next call.
func (c *chunks) next(last bool) []byte {
	binary.BigEndian.PutUint64(c.nonce[3:11], c.n)
	c.nonce[11] = 0
	if last {
		c.nonce[11] = 1
	}
	c.n++
	return c.nonce[:]
}
