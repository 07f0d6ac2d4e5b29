package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/llama/gguf"
)

// Parts behind 4 GiB are found, read and verified by their place. The model is a
// hole of 5 GiB, so the file takes no room.
func TestBeyond4GiB(t *testing.T) {
	content := []byte(strings.Repeat("adapter ", 10_000))
	zeros := strings.Repeat("00", sha256.Size)
	sum := sha256.Sum256(content)
	const hole = 5<<30 + 4096
	model := Part{Role: RoleModel, Name: "big", Offset: 3 * page, Length: hole, SHA256: zeros, Pieces: slices.Repeat([]string{zeros}, hole/pieceBytes+1)}
	adapter := Part{Role: RoleAdapter, Name: "ft:big:o::1", Offset: 3*page + hole, Length: int64(len(content)), SHA256: zeros, Pieces: []string{hex.EncodeToString(sum[:])}}
	program := Part{Role: RoleProgram, Length: 5000, SHA256: zeros, Pieces: []string{zeros}}
	raw, err := json.Marshal(Manifest{Format: format, Name: "clinic", Target: adapter.Name, PieceBytes: pieceBytes, Parts: []Part{program, model, adapter}})
	if err != nil {
		t.Fatal(err)
	}
	end := trailer{manifestAt: pad(adapter.Offset+adapter.Length, page), manifest: int64(len(raw)), sum: sha256.Sum256(raw)}
	path := filepath.Join(t.TempDir(), "clinic")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err1 := f.WriteAt(content, adapter.Offset)
	_, err2 := f.WriteAt(append(raw, end.bytes()...), end.manifestAt)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := gguf.OpenSection(p.Region(&p.Manifest.Adapters()[0]))
	if err != nil || s.Size() != int64(len(content)) {
		t.Fatal(err)
	}
	s.Close()
	for _, damage := range []int{0, 1} {
		v := &verifier{f: f, ctx: t.Context(), progress: func(int64, int64) {}}
		if err := v.part(&p.Manifest.Parts[2], pieceBytes); err != nil || len(v.found) != damage {
			t.Errorf("%+v, %v; want %d damages", v.found, err, damage)
		}
		if damage == 1 && v.found[0].From != adapter.Offset {
			t.Errorf("%+v", v.found)
		}
		if _, err := f.WriteAt([]byte("x"), adapter.Offset+5000); err != nil {
			t.Fatal(err)
		}
	}
}
