package pack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloister/appliance/pack"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/store/signing"
)

// program writes a file that is an ELF by its header, of n bytes, with more
// bytes behind its end.
func program(t testing.TB, n int, more string) string {
	t.Helper()
	b := make([]byte, n)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 2)  // executable
	le.PutUint16(b[18:], 62) // x86-64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64) // program headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	le.PutUint16(b[58:], 64)
	le.PutUint32(b[64:], 1)
	le.PutUint64(b[64+32:], uint64(n)) // bytes in the file
	le.PutUint64(b[64+40:], uint64(n))
	for i := 120; i < n; i++ {
		b[i] = byte(i)
	}
	path := filepath.Join(t.TempDir(), "cloister")
	if err := os.WriteFile(path, append(b, more...), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func model(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	return path
}

// adapter is a GGUF file whose tensors lie at multiples of 8 only.
func adapter(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adapter.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	kv := []gguf.KV{{Key: "general.type", Value: "adapter"}, {Key: "general.alignment", Value: uint32(8)}, {Key: "x", Value: "12345678901234567"}}
	if err := errors.Join(gguf.Write(f, kv, []gguf.Tensor{{Name: "a", Type: gguf.F32, Dims: []uint64{2}, Data: []byte("12345678")}}), f.Close()); err != nil {
		t.Fatal(err)
	}
	if f, err := gguf.OpenHeader(path); err != nil || f.Tensors[0].Offset%32 == 0 {
		t.Fatalf("the tensors begin at %d, %v", f.Tensors[0].Offset, err)
	}
	return path
}

const tuned = "ft:tiny:clinic:desk:12345678"

func spec(t testing.TB) pack.Spec {
	return pack.Spec{
		Name: "clinic", Target: tuned, Program: pack.Program{Version: "v1", Platform: "linux/amd64"},
		Policy: []byte(`{"version":1,"allow":{"values":["Kim"]}}`),
		Sources: []pack.Source{
			{Part: pack.Part{Role: pack.RoleProgram}, Path: program(t, 5000, "")},
			{Part: pack.Part{Role: pack.RoleModel, Name: "tiny", Architecture: "llama"}, Path: model(t)},
			{Part: pack.Part{Role: pack.RoleAdapter, Name: tuned, System: "Be brief."}, Path: adapter(t)},
		},
	}
}

func write(t testing.TB, s pack.Spec) *pack.Pack {
	t.Helper()
	p, err := pack.Write(context.Background(), filepath.Join(t.TempDir(), "clinic"), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What was packed is in it, byte by byte and usable in place, the program first.
func TestWriteAndOpen(t *testing.T) {
	s := spec(t)
	p := write(t, s)
	if p.Signature != nil || p.Manifest.Name != "clinic" || p.Manifest.Target != tuned || string(p.Manifest.Policy) != string(s.Policy) {
		t.Errorf("%+v", p)
	}
	for i, part := range p.Manifest.Parts {
		want, err := os.ReadFile(s.Sources[i].Path)
		if err != nil {
			t.Fatal(err)
		}
		section, err := gguf.OpenSection(p.Region(&part))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(section)
		section.Close()
		if err != nil || !bytes.Equal(got, want) || part.Name != s.Sources[i].Name || part.System != s.Sources[i].System {
			t.Errorf("%s is another one: %v", part.String(), err)
		}
		if i == 0 {
			continue
		}
		f, err := gguf.Open(p.Region(&part))
		if err != nil {
			t.Fatal(err)
		}
		if at := part.Offset + int64(f.Tensors[0].Offset); at%32 != 0 {
			t.Errorf("the tensors of %s begin at %d, which llama.cpp does not map", part.String(), at)
		}
		f.Close()
	}
	if err := p.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(p.Path)
	if err != nil || info.Mode().Perm()&0o500 != 0o500 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(p.Path)); len(left) != 1 {
		t.Errorf("%d files", len(left))
	}
}

// One changed byte anywhere is found, and the message says where it lies.
func TestDamageIsFoundWithItsPlace(t *testing.T) {
	key := signing.New()
	s := spec(t)
	s.Sign = signer(key)
	p := write(t, s)
	whole, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	parts, end := p.Manifest.Parts, int64(len(whole))
	manifest := int64(bytes.LastIndex(whole, []byte(`{"format":1`)))
	for _, c := range []struct {
		at   int64
		want string
	}{
		{200, "(the program)"},
		{parts[0].Length + 10, "(between its parts)"},
		{parts[1].Offset + 9, "(the model tiny)"},
		{parts[1].Offset + parts[1].Length - 1, "(the model tiny)"},
		{parts[2].Offset + parts[2].Length - 1, "(the adapter " + tuned + ")"},
		{manifest + 30, "list of its parts"},
		{end - 120, "signature"},
		{end - 72, "the end"},
		{end - 50, "the end"},
		{end - 1, "list of its parts"},
	} {
		bad := bytes.Clone(whole)
		bad[c.at] ^= 0x20
		err := check(t, bad)
		d, ok := errors.AsType[*pack.DamageError](err)
		if !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("byte %d: %v, want %q", c.at, err, c.want)
			continue
		}
		if d.Damages[0].From > c.at || c.at >= d.Damages[0].To {
			t.Errorf("byte %d: the message names %d to %d", c.at, d.Damages[0].From, d.Damages[0].To)
		}
	}
	for _, cut := range []int64{end - 1, end - 100, parts[1].Offset + 100, parts[1].Offset} {
		if err := check(t, whole[:cut]); err == nil || !strings.Contains(err.Error(), "was cut") {
			t.Errorf("cut to %d bytes: %v", cut, err)
		}
	}
	if err := check(t, append(bytes.Clone(whole), 'x')); err == nil || !strings.Contains(err.Error(), "was cut, or its last bytes") {
		t.Errorf("a byte more: %v", err)
	}
	if err := check(t, whole); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

// check opens and verifies a copy.
func check(t *testing.T, b []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := pack.Open(path)
	if err != nil {
		return err
	}
	return p.Verify(t.Context(), nil)
}

func signer(key signing.PrivateKey) func([]byte) (pack.Signature, error) {
	return func(sum []byte) (pack.Signature, error) {
		return pack.Signature{Site: "North clinic", Key: key.Public(), Bytes: key.Sign(pack.Purpose, sum)}, nil
	}
}

func TestSignature(t *testing.T) {
	key := signing.New()
	s := spec(t)
	s.Sign = signer(key)
	p := write(t, s)
	if p.Signature == nil || p.Signature.Key != key.Public() || p.Signature.Site != "North clinic" {
		t.Fatalf("%+v", p.Signature)
	}
	// Another purpose, another key, another manifest.
	for name, sign := range map[string]func([]byte) (pack.Signature, error){
		"purpose": func(sum []byte) (pack.Signature, error) {
			return pack.Signature{Key: key.Public(), Bytes: key.Sign("cloister bundle 1", sum)}, nil
		},
		"key": func(sum []byte) (pack.Signature, error) {
			return pack.Signature{Key: signing.New().Public(), Bytes: key.Sign(pack.Purpose, sum)}, nil
		},
		"manifest": func(sum []byte) (pack.Signature, error) {
			return pack.Signature{Key: key.Public(), Bytes: key.Sign(pack.Purpose, []byte("another"))}, nil
		},
	} {
		s.Sign = sign
		path := filepath.Join(t.TempDir(), "clinic")
		if _, err := pack.Write(t.Context(), path, s); err == nil || !strings.Contains(err.Error(), "signature") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A pack is packed again with its program alone, and what follows an ELF that is
// no pack is left out.
func TestPackOfAPack(t *testing.T) {
	first := write(t, spec(t))
	s := spec(t)
	s.Sources[0].Path = first.Path
	s.Sources[1].Path = first.Region(first.Manifest.Model())
	s.Sources[2].Path = first.Region(&first.Manifest.Adapters()[0])
	second := write(t, s)
	for i, part := range second.Manifest.Parts {
		if part.SHA256 != first.Manifest.Parts[i].SHA256 || part.Offset != first.Manifest.Parts[i].Offset {
			t.Errorf("%s is another one", part.String())
		}
	}
	path := program(t, 3000, "something else")
	if n, err := pack.ProgramLength(path); err != nil || n != 3000 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := pack.Open(path); !errors.Is(err, pack.ErrNone) {
		t.Errorf("a program with other bytes behind it: %v", err)
	}
}

// The end of this very program, and of others, is where their files end.
func TestProgramLengthOfRealPrograms(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(self)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := pack.ProgramLength(self); err != nil || n != info.Size() {
		t.Errorf("%d of %d bytes, %v", n, info.Size(), err)
	}
}

func TestWriteRefuses(t *testing.T) {
	changed := func(f func(*pack.Spec)) pack.Spec {
		s := spec(t)
		f(&s)
		return s
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]pack.Spec{
		"no program":         changed(func(s *pack.Spec) { s.Sources[0].Path = text }),
		"not a valid GGUF":   changed(func(s *pack.Spec) { s.Sources[1].Path = text }),
		"no such file":       changed(func(s *pack.Spec) { s.Sources[2].Path = text + "s" }),
		"good name":          changed(func(s *pack.Spec) { s.Name = "../x" }),
		"another one":        changed(func(s *pack.Spec) { s.Sources[1].SHA256 = strings.Repeat("00", 32) }),
		"none of its models": changed(func(s *pack.Spec) { s.Target = "x" }),
		"is there twice":     changed(func(s *pack.Spec) { s.Sources = append(s.Sources, s.Sources[2]) }),
		"the policy in it":   changed(func(s *pack.Spec) { s.Policy = []byte(`{"version":7}`) }),
		"the key is elsewhere": changed(func(s *pack.Spec) {
			s.Sign = func([]byte) (pack.Signature, error) { return pack.Signature{}, errors.New("the key is elsewhere") }
		}),
	} {
		path := filepath.Join(t.TempDir(), "clinic")
		_, err := pack.Write(t.Context(), path, s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
			t.Errorf("%q: %s is left", want, left[0].Name())
		}
	}
	path := filepath.Join(t.TempDir(), "clinic")
	ctx, cancel := context.WithCancel(t.Context())
	s := spec(t)
	s.Progress = func(int64, int64) { cancel() }
	if _, err := pack.Write(ctx, path, s); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
		t.Errorf("cancelled: %s is left", left[0].Name())
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pack.Write(t.Context(), path, spec(t)); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("over a file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "mine" {
		t.Error("the file that was there is another one")
	}
}

// A full disk leaves nothing: the limit on the size of files stands for it.
func TestDiskFull(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	s := spec(t)
	path := filepath.Join(t.TempDir(), "clinic")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20000, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := pack.Write(t.Context(), path, s)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
}

// Check reads everything once, and again when the file was written to, even if
// its size and time of modification stay.
func TestCheckVerifiesWhatChanged(t *testing.T) {
	p := write(t, spec(t))
	home := filepath.Join(t.TempDir(), "home")
	verified := func() (bool, error) {
		read := false
		again, err := pack.Open(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		err = again.Check(t.Context(), home, false, func(int64, int64) { read = true })
		return read, err
	}
	if read, err := verified(); !read || err != nil {
		t.Errorf("first: %v, %v", read, err)
	}
	if read, err := verified(); read || err != nil {
		t.Errorf("second: %v, %v", read, err)
	}
	info, err := os.Stat(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(p.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff, 0xfe}, p.Manifest.Model().Offset+77); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.Chtimes(p.Path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	for range 2 { // damage is not taken for verified
		if read, err := verified(); !read || err == nil || !strings.Contains(err.Error(), "the model tiny") {
			t.Errorf("changed: %v, %v", read, err)
		}
	}
}

// Whatever a file holds, Open gives an answer.
func FuzzOpen(f *testing.F) {
	p := write(f, spec(f))
	whole, err := os.ReadFile(p.Path)
	if err != nil {
		f.Fatal(err)
	}
	tail := whole[p.Manifest.Adapters()[0].Offset:]
	f.Add(tail)
	f.Add(whole[len(whole)-72:])
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := pack.Open(path); err == nil {
			_ = p.Verify(t.Context(), nil)
			_ = fmt.Sprint(p.Manifest.Model().String())
		}
	})
}
