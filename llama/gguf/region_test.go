package gguf_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloister/llama/gguf"
)

// at writes data at an offset of a sparse file, with other bytes behind it, and
// returns the text form of the region.
func at(t *testing.T, path string, offset int64, data []byte) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(append(bytes.Clone(data), "what follows"...), offset); err != nil {
		t.Fatal(err)
	}
	return gguf.Region{Path: path, Offset: offset, Length: int64(len(data))}.String()
}

// A part of a larger file reads as the file itself, at any offset, beyond 4 GiB too.
func TestRegionReadsAsTheFile(t *testing.T) {
	_, _, b := sample(t)
	plain, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, 1, 32, 4096, 3*4096 + 32, 5<<30 + 4096} {
		path := at(t, filepath.Join(t.TempDir(), "large"), offset, b)
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Size != int64(len(b)) || !cmp.Equal(f.KV, plain.KV) || !cmp.Equal(f.Tensors, plain.Tensors) {
			t.Errorf("at %d: another file", offset)
		}
		f.Release(&f.Tensors[1])
		if !bytes.Equal(f.Tensors[1].Data, plain.Tensors[1].Data) {
			t.Errorf("at %d: other bytes after Release", offset)
		}
		h, err := gguf.OpenHeader(path)
		if err != nil || h.Tensors[1].Offset != plain.Tensors[1].Offset {
			t.Errorf("at %d: header %v, %v", offset, h, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestParseRegion(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "model@4096+7")
	if err := os.WriteFile(odd, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	whole := func(p string) gguf.Region { return gguf.Region{Path: p} }
	for text, want := range map[string]gguf.Region{
		"/a/clinic@4096+500":       {Path: "/a/clinic", Offset: 4096, Length: 500},
		"/a@1+2@3+4":               {Path: "/a@1+2", Offset: 3, Length: 4},
		"clinic@0+1":               {Path: "clinic", Length: 1},
		"/a/clinic":                whole("/a/clinic"),
		"/a/clinic@4096":           whole("/a/clinic@4096"),
		"/a/clinic@4096+0":         whole("/a/clinic@4096+0"),
		"/a/clinic@-1+5":           whole("/a/clinic@-1+5"),
		"a@9223372036854775807+1":  whole("a@9223372036854775807+1"),
		"a@99999999999999999999+1": whole("a@99999999999999999999+1"),
		odd:                        whole(odd),
	} {
		got := gguf.ParseRegion(text)
		if got != want {
			t.Errorf("ParseRegion(%q) = %+v, want %+v", text, got, want)
		}
		if got.String() != text {
			t.Errorf("%+v is %q as a text, want %q", got, got, text)
		}
	}
}

func TestOpenSectionRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		file + "@90+11":                "has 100 bytes",
		fmt.Sprint(file, "@100+1"):     "has 100 bytes",
		dir:                            "not a file",
		dir + "@0+4":                   "not a file",
		filepath.Join(dir, "none@0+4"): "none",
	} {
		_, err := gguf.OpenSection(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenSection(%q): %v, want %q", text, err, want)
		}
	}
	if _, err := gguf.OpenSection(filepath.Join(dir, "none@0+4")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	s, err := gguf.OpenSection(file + "@90+10")
	if err != nil || s.Size() != 10 {
		t.Error(err)
	}
	s.Close()
}
