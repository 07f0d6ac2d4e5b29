package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"cloister/store/vault"
)

// The format, as it is written at NewWriter; the tests cut streams at its borders.
const (
	headerSize  = 40
	chunkSize   = 64 << 10
	sealedChunk = chunkSize + 16
)

var streamKey = vault.NewMasterKey().Derive("stream test")

func bytesOf(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(b)
	return b
}

func seal(t testing.TB, plain []byte, context string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := vault.NewWriter(&out, streamKey, context)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unseal(sealed []byte, key vault.Key, context string) ([]byte, error) {
	r, err := vault.NewReader(bytes.NewReader(sealed), key, context)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestStreamRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 100, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 3*chunkSize + 17} {
		plain := bytesOf(n)
		sealed := seal(t, plain, "f")
		chunks := max(1, (n+chunkSize-1)/chunkSize)
		if want := headerSize + n + 16*chunks; len(sealed) != want {
			t.Errorf("%d bytes seal to %d, want %d", n, len(sealed), want)
		}
		got, err := unseal(sealed, streamKey, "f")
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes come back as %d, %v", n, len(got), err)
		}
	}
}

// However the bytes arrive and whatever the size of the reads, the stream is the same.
func TestStreamOddReadsAndWrites(t *testing.T) {
	plain := bytesOf(2*chunkSize + 999)
	var out bytes.Buffer
	w, err := vault.NewWriter(&out, streamKey, "f")
	if err != nil {
		t.Fatal(err)
	}
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), 1+rand.IntN(9000))
		if m, err := w.Write(rest[:n]); m != n || err != nil {
			t.Fatal(m, err)
		}
		rest = rest[n:]
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a closed stream takes more")
	}
	for name, r := range map[string]io.Reader{
		"halves": iotest.HalfReader(&out), "data with EOF": iotest.DataErrReader(bytes.NewReader(out.Bytes())),
	} {
		sr, err := vault.NewReader(r, streamKey, "f")
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(sr, plain); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// damaged wants ErrDamaged, and that what was read before it is a true beginning of the plain text.
func damaged(t *testing.T, what string, sealed, plain []byte) {
	t.Helper()
	got, err := unseal(sealed, streamKey, "f")
	if !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("%s: %d bytes, error %v; want ErrDamaged", what, len(got), err)
	}
	if !bytes.HasPrefix(plain, got) {
		t.Errorf("%s: false bytes came out", what)
	}
}

func TestStreamTruncated(t *testing.T) {
	plain := bytesOf(3 * chunkSize)
	sealed := seal(t, plain, "f")
	cuts := []int{0, 1, headerSize - 1, headerSize, headerSize + 1, headerSize + 15, headerSize + 16, len(sealed) - 1}
	for c := 1; c <= 3; c++ {
		border := headerSize + c*sealedChunk
		cuts = append(cuts, border-16, border-1, border, border+1)
	}
	for range 50 {
		cuts = append(cuts, rand.IntN(len(sealed)))
	}
	for _, n := range cuts {
		if n < len(sealed) {
			damaged(t, fmt.Sprintf("cut to %d of %d", n, len(sealed)), sealed[:n], plain)
		}
	}
}

func TestStreamChanged(t *testing.T) {
	plain := bytesOf(2*chunkSize + 100)
	sealed := seal(t, plain, "f")
	places := []int{0, 7, 8, 39, headerSize, headerSize + sealedChunk - 1, headerSize + sealedChunk, len(sealed) - 1}
	for range 100 {
		places = append(places, rand.IntN(len(sealed)))
	}
	for _, i := range places {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1 << rand.IntN(8)
		damaged(t, fmt.Sprintf("bit flipped in byte %d", i), bad, plain)
	}
	damaged(t, "a byte added", append(bytes.Clone(sealed), 0), plain)
	damaged(t, "a chunk added", append(bytes.Clone(sealed), sealed[headerSize:headerSize+sealedChunk]...), plain)
}

func TestStreamReordered(t *testing.T) {
	plain := bytesOf(3 * chunkSize)
	sealed := seal(t, plain, "f")
	head := sealed[:headerSize]
	chunk := func(i int) []byte { return sealed[headerSize+i*sealedChunk : headerSize+(i+1)*sealedChunk] }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	damaged(t, "chunks swapped", join(head, chunk(1), chunk(0), chunk(2)), plain)
	damaged(t, "a chunk left out", join(head, chunk(0), chunk(2)), plain)
	damaged(t, "a chunk twice", join(head, chunk(0), chunk(0), chunk(1), chunk(2)), plain)
	damaged(t, "the last chunk first", join(head, chunk(2), chunk(0), chunk(1)), plain)
	damaged(t, "without the last chunk", join(head, chunk(0), chunk(1)), plain)
	other := seal(t, plain, "f")
	damaged(t, "a chunk of another stream", join(head, chunk(0), other[headerSize+sealedChunk:]), plain)
	damaged(t, "the header of another stream", join(other[:headerSize], sealed[headerSize:]), plain)
}

func TestStreamOtherKeyOrContext(t *testing.T) {
	sealed := seal(t, bytesOf(10), "file-1")
	if _, err := unseal(sealed, streamKey, "file-2"); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("another context: %v", err)
	}
	if _, err := unseal(sealed, vault.NewMasterKey().Derive("stream test"), "file-1"); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("another key: %v", err)
	}
}

// Errors of the disk are told as they are and not as damage.
func TestStreamDiskErrors(t *testing.T) {
	sealed := seal(t, bytesOf(2*chunkSize), "f")
	broken := errors.New("disk on fire")
	for _, n := range []int{0, 10, headerSize, headerSize + 5, headerSize + sealedChunk} {
		r, err := vault.NewReader(io.MultiReader(bytes.NewReader(sealed[:n]), iotest.ErrReader(broken)), streamKey, "f")
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, headerSize, headerSize + 100} {
		w, err := vault.NewWriter(&shortWriter{n, broken}, streamKey, "f")
		if err == nil {
			_, err = w.Write(bytesOf(chunkSize + 1))
			err = errors.Join(err, w.Close())
		}
		if !errors.Is(err, broken) {
			t.Errorf("writer broken after %d bytes: %v", n, err)
		}
	}
}

// shortWriter takes n bytes and then fails.
type shortWriter struct {
	n   int
	err error
}

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		return w.n, w.err
	}
	w.n -= len(p)
	return len(p), nil
}

// FuzzReader gives the reader any bytes at all. It must neither panic nor
// return a byte that was not sealed, and only the whole text may end well.
func FuzzReader(f *testing.F) {
	key := vault.MasterKey{}.Derive("fuzz")
	plain := bytes.Repeat([]byte("sealed "), 14000)
	var out bytes.Buffer
	w, err := vault.NewWriter(&out, key, "f")
	if err != nil {
		f.Fatal(err)
	}
	_, _ = w.Write(plain)
	_ = w.Close()
	sealed := out.Bytes()
	f.Add(sealed)
	f.Add(sealed[:headerSize])
	f.Add(sealed[:headerSize+sealedChunk])
	f.Add(append(bytes.Clone(sealed), 0))
	f.Add([]byte("CLOISTR1"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := unseal(in, key, "f")
		if err == nil && !bytes.Equal(got, plain) {
			t.Error("a stream that was not written opens")
		}
		if err != nil && !errors.Is(err, vault.ErrDamaged) {
			t.Errorf("error %v", err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Error("bytes came out that were not sealed")
		}
	})
}

// FuzzWriter cuts and flips a stream of any content in any place.
func FuzzWriter(f *testing.F) {
	f.Add([]byte("hello"), uint32(3), uint32(0), byte(0))
	f.Add(bytesOf(chunkSize), uint32(50), uint32(60), byte(1))
	f.Fuzz(func(t *testing.T, plain []byte, cut, flip uint32, mask byte) {
		sealed := seal(t, plain, "f")
		if got, err := unseal(sealed, streamKey, "f"); err != nil || !bytes.Equal(got, plain) {
			t.Fatal("the stream does not come back")
		}
		bad := bytes.Clone(sealed[:len(sealed)-int(cut)%len(sealed)])
		if len(bad) > 0 {
			bad[int(flip)%len(bad)] ^= mask
		}
		got, err := unseal(bad, streamKey, "f")
		if !bytes.Equal(bad, sealed) && err == nil || !bytes.HasPrefix(plain, got) {
			t.Error("a changed stream opens")
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	plain := bytesOf(1 << 20)
	w, err := vault.NewWriter(io.Discard, streamKey, "f")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		if _, err := w.Write(plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	sealed := seal(b, bytesOf(8<<20), "f")
	b.SetBytes(8 << 20)
	for b.Loop() {
		r, err := vault.NewReader(bytes.NewReader(sealed), streamKey, "f")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}
