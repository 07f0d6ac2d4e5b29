package archive_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"cloister/appliance/bundle/archive"
	"cloister/store/signing"
)

// maker makes bundles out of parts.
type maker struct {
	key     signing.PrivateKey
	parts   []archive.Part
	content map[string]string
}

func newMaker() *maker { return &maker{key: signing.New(), content: map[string]string{}} }

func (m *maker) add(name, content string) *maker {
	sum := sha256.Sum256([]byte(content))
	m.parts = append(m.parts, archive.Part{Name: name, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
	m.content[name] = content
	return m
}

func (m *maker) manifest() archive.Manifest {
	return archive.Manifest{
		Program: "test", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Site:  archive.Site{Name: "north", Key: m.key.Public()},
		Bases: []archive.Base{{Name: "base", Architecture: "llama", SHA256: strings.Repeat("ab", 32)}},
		Parts: m.parts,
	}
}

func (m *maker) sign(purpose string, message []byte) ([]byte, error) {
	return m.key.Sign(purpose, message), nil
}

func (m *maker) open(p archive.Part) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(m.content[p.Name])), nil
}

func (m *maker) bytes(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := archive.Write(&b, m.manifest(), m.sign, m.open); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func small() *maker {
	return newMaker().add("adapters/1.json", `{"name":"ft:x"}`).add("evaluations/1.json", strings.Repeat("x", 512)).add("adapters/1.gguf", strings.Repeat("GGUF", 300)).add("adapters/2.gguf", "")
}

// read reads a bundle whole.
func read(r io.Reader) (m archive.Manifest, parts map[string]string, err error) {
	b, err := archive.Open(r)
	if err != nil {
		return m, nil, err
	}
	parts = map[string]string{}
	for {
		p, content, err := b.Next()
		if err == io.EOF {
			return b.Manifest(), parts, nil
		}
		if err != nil {
			return m, nil, err
		}
		raw, err := io.ReadAll(content)
		if err != nil {
			return m, nil, err
		}
		parts[p.Name] = string(raw)
	}
}

func TestRoundTrip(t *testing.T) {
	m := small()
	raw := m.bytes(t)
	if !bytes.Equal(raw, m.bytes(t)) {
		t.Error("the same bundle has other bytes")
	}
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(raw), "byte by byte": iotest.OneByteReader(bytes.NewReader(raw)), "data with EOF": iotest.DataErrReader(bytes.NewReader(raw))} {
		got, parts, err := read(r)
		if err != nil || len(parts) != 4 || got.Site.Name != "north" || got.Site.Key != m.key.Public() || got.Bases[0].Name != "base" {
			t.Fatalf("%s: %v, %+v", name, err, got)
		}
		for name, want := range m.content {
			if parts[name] != want {
				t.Errorf("%s is %q", name, parts[name])
			}
		}
	}
	// What is not read is verified all the same.
	b, err := archive.Open(bytes.NewReader(raw))
	for n := 0; err == nil; n++ {
		if _, _, err = b.Next(); err == io.EOF && n != 4 {
			t.Errorf("%d parts", n)
		}
	}
	if err != io.EOF {
		t.Error(err)
	}
	// Any tar lists it.
	var names []string
	for tr := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if want := []string{"manifest.json", "manifest.sig", "adapters/1.json", "evaluations/1.json", "adapters/1.gguf", "adapters/2.gguf"}; !slices.Equal(names, want) {
		t.Error(names)
	}
}

// Whatever single byte is changed, wherever it is cut, and whatever follows is found.
func TestEveryByteCounts(t *testing.T) {
	raw := small().bytes(t)
	known := func(err error) bool {
		return errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrFormat) || errors.Is(err, archive.ErrNewer)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if _, _, err := read(bytes.NewReader(bad)); !known(err) {
			t.Fatalf("byte %d of %d ^ %#x: %v", i, len(raw), 1<<(i%8), err)
		}
		if _, _, err := read(bytes.NewReader(raw[:i])); !known(err) {
			t.Fatalf("cut to %d of %d bytes: %v", i, len(raw), err)
		}
	}
	for _, tail := range []string{"\x00", "x", string(make([]byte, 512)), string(raw)} {
		if _, _, err := read(bytes.NewReader([]byte(string(raw) + tail))); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("%d bytes more: %v", len(tail), err)
		}
	}
}

// retar writes the entries of a bundle again as an attacker would who has tar.
func retar(t *testing.T, raw []byte, change func([]entry) []entry) []byte {
	t.Helper()
	var all []entry
	for tr := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{*h, content})
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range change(all) {
		e.Size = int64(len(e.content))
		if e.Typeflag != tar.TypeReg {
			e.Size = 0
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if e.Size > 0 {
			if _, err := w.Write(e.content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type entry struct {
	tar.Header
	content []byte
}

func TestTampering(t *testing.T) {
	m := small()
	raw := m.bytes(t)
	if same := retar(t, raw, func(e []entry) []entry { return e }); !bytes.Equal(same, raw) {
		t.Fatal("tar writes a bundle differently, so this test proves nothing")
	}
	other := newMaker().add("adapters/1.json", `{"name":"ft:y"}`).add("evaluations/1.json", strings.Repeat("y", 512)).add("adapters/1.gguf", strings.Repeat("ggml", 300)).add("adapters/2.gguf", "").bytes(t)
	var others []entry
	retar(t, other, func(e []entry) []entry { others = e; return e })
	for what, change := range map[string]func([]entry) []entry{
		"parts swapped":                  func(e []entry) []entry { e[2], e[3] = e[3], e[2]; return e },
		"contents swapped":               func(e []entry) []entry { e[4].content, e[5].content = e[5].content, e[4].content; return e },
		"a part missing":                 func(e []entry) []entry { return slices.Delete(e, 3, 4) },
		"the last part missing":          func(e []entry) []entry { return e[:5] },
		"a part more":                    func(e []entry) []entry { x := e[5]; x.Name = "adapters/3.gguf"; return append(e, x) },
		"a part twice":                   func(e []entry) []entry { return append(e, e[5]) },
		"a part of another bundle":       func(e []entry) []entry { e[4] = others[4]; return e },
		"another bundle's signature":     func(e []entry) []entry { e[1] = others[1]; return e },
		"another bundle's manifest":      func(e []entry) []entry { e[0] = others[0]; return e },
		"another's manifest, and signed": func(e []entry) []entry { e[0], e[1] = others[0], others[1]; return e },
		"no signature":                   func(e []entry) []entry { return slices.Delete(e, 1, 2) },
		"no manifest":                    func(e []entry) []entry { return e[1:] },
		"nothing":                        func(e []entry) []entry { return nil },
		"a name that leads out":          func(e []entry) []entry { e[4].Name = "../../etc/passwd"; return e },
		"a link":                         func(e []entry) []entry { e[4].Typeflag, e[4].Linkname = tar.TypeSymlink, "/etc/passwd"; return e },
		"an owner":                       func(e []entry) []entry { e[4].Uid = 1; return e },
		"a time":                         func(e []entry) []entry { e[4].ModTime = time.Unix(1, 0); return e },
		"a mode":                         func(e []entry) []entry { e[4].Mode = 0o4755; return e },
		"another format":                 func(e []entry) []entry { e[4].Format = tar.FormatGNU; return e },
		"a changed manifest": func(e []entry) []entry {
			e[0].content = bytes.Replace(e[0].content, []byte("north"), []byte("south"), 1)
			return e
		},
	} {
		if _, _, err := read(bytes.NewReader(retar(t, raw, change))); !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, archive.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// resign puts another manifest into a bundle, signed by the same key.
func (m *maker) resign(t *testing.T, change func(manifest string) string) []byte {
	t.Helper()
	return retar(t, m.bytes(t), func(e []entry) []entry {
		e[0].content = []byte(change(string(e[0].content)))
		e[1].content = []byte(base64Text(m.key.Sign(archive.Purpose, e[0].content)))
		return e
	})
}

// Even a manifest that is signed must keep the rules.
func TestManifestRules(t *testing.T) {
	m := small()
	if _, _, err := read(bytes.NewReader(m.resign(t, func(s string) string { return s }))); err != nil {
		t.Fatal(err)
	}
	replace := func(old, with string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Errorf("the manifest has no %s", old)
			}
			return strings.Replace(s, old, with, 1)
		}
	}
	for what, change := range map[string]func(string) string{
		"a path that leads out":   replace(`"adapters/1.gguf"`, `"../1.gguf"`),
		"an absolute path":        replace(`"adapters/1.gguf"`, `"/etc/1.gguf"`),
		"a name twice":            replace(`"adapters/2.gguf"`, `"adapters/1.gguf"`),
		"another kind of file":    replace(`"adapters/2.gguf"`, `"adapters/2.exe"`),
		"a negative size":         replace(`"bytes": 15`, `"bytes": -1`),
		"a size beyond numbers":   replace(`"bytes": 15`, `"bytes": 99999999999999999999`),
		"a bomb of records":       replace(`"bytes": 15`, `"bytes": 1099511627776`),
		"a size beyond the bound": replace(`"bytes": 1200`, `"bytes": 2199023255552`),
		"a checksum that is none": replace(`"sha256": "`, `"sha256": "zz`),
		"a terminal's escape":     replace(`"name": "north"`, `"name": "\u001b[2J"`),
		"a bidirectional name":    replace(`"name": "north"`, `"name": "a\u202eb"`),
		"an unknown field":        replace(`"program"`, `"programme"`),
		"something behind":        func(s string) string { return s + "{}" },
		"no JSON":                 func(string) string { return "north" },
		"null":                    func(string) string { return "null" },
		"another format":          replace("cloister-bundle", "cloister-pack"),
		"no key":                  replace(m.key.Public().String(), signing.PublicKey{}.String()),
		"no parts": func(s string) string {
			head, _, _ := strings.Cut(s, `"parts"`)
			return head + `"parts": []}`
		},
	} {
		if _, _, err := read(bytes.NewReader(m.resign(t, change))); !errors.Is(err, archive.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := read(bytes.NewReader(m.resign(t, replace(`"version": 1`, `"version": 2, "new": true`)))); !errors.Is(err, archive.ErrNewer) {
		t.Errorf("a newer version: %v", err)
	}
}

// A header that promises much takes no memory.
func TestBomb(t *testing.T) {
	for _, size := range []int64{5 << 20, 1 << 40} {
		var b bytes.Buffer
		format := tar.FormatUSTAR
		if size > 1<<33 {
			format = tar.FormatGNU
		}
		if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "manifest.json", Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: format}); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1, func() {
			if _, err := archive.Open(bytes.NewReader(b.Bytes())); !errors.Is(err, archive.ErrFormat) {
				t.Error(err)
			}
		}); n > 1000 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}

// Parts that are longer than USTAR can tell have a header, too.
func TestLongPart(t *testing.T) {
	m := newMaker()
	m.parts = []archive.Part{{Name: "adapters/1.gguf", Bytes: 9 << 30, SHA256: strings.Repeat("ab", 32)}}
	stop := errors.New("enough")
	var b bytes.Buffer
	_, err := archive.Write(&limited{&b, 10_000, stop}, m.manifest(), m.sign, func(archive.Part) (io.ReadCloser, error) {
		return io.NopCloser(zeros{}), nil
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if _, _, err := read(bytes.NewReader(b.Bytes())); !errors.Is(err, archive.ErrDamaged) || !strings.Contains(err.Error(), "within adapters/1.gguf") {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type limited struct {
	w    io.Writer
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, l.err
	}
	return l.w.Write(p)
}

// A part that is not what the manifest says is not written as if it were.
func TestWriteRefuses(t *testing.T) {
	for what, content := range map[string]string{"changed": "GGUg", "shorter": "GGU", "longer": "GGUFF"} {
		m := newMaker().add("adapters/1.gguf", "GGUF")
		m.content["adapters/1.gguf"] = content
		if _, err := archive.Write(io.Discard, m.manifest(), m.sign, m.open); err == nil || !strings.Contains(err.Error(), "adapters/1.gguf") {
			t.Errorf("%s: %v", what, err)
		}
	}
	m := newMaker().add("adapters/1.gguf", "GGUF")
	if _, err := archive.Write(io.Discard, m.manifest(), func(string, []byte) ([]byte, error) { return make([]byte, 64), nil }, m.open); !errors.Is(err, signing.ErrBadSignature) {
		t.Errorf("a signature of nobody: %v", err)
	}
	bad := m.manifest()
	bad.Site.Name = "a\nb"
	if _, err := archive.Write(io.Discard, bad, m.sign, m.open); err == nil {
		t.Error("a name of two lines was written")
	}
}

// Errors of the disk are not taken for damage.
func TestReaderError(t *testing.T) {
	raw := small().bytes(t)
	broken := errors.New("the stick was pulled out")
	for _, n := range []int{0, 100, 600, 2000, len(raw) - 100, len(raw)} {
		_, _, err := read(io.MultiReader(bytes.NewReader(raw[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, archive.ErrDamaged) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	m := small()
	var err error
	if m.key, err = signing.FromSeed(make([]byte, signing.SeedSize)); err != nil { // the same in all workers
		f.Fatal(err)
	}
	raw := m.bytes(f)
	f.Add(raw)
	f.Add(raw[:1000])
	f.Add([]byte("GGUF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, parts, err := read(bytes.NewReader(data))
		if err == nil && !bytes.Equal(data, raw) { // nobody else has the key
			t.Errorf("%d bytes are taken for a bundle with %d parts", len(data), len(parts))
		}
	})
}

func base64Text(signature []byte) string {
	return base64.StdEncoding.EncodeToString(signature) + "\n"
}
