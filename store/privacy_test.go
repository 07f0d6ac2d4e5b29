package store_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"cloister/store"
	"cloister/store/pii"
	"cloister/store/vault"
)

// Invented persons and numbers, and words that stand for texts which are
// masked and still nobody's business.
var planted = []string{
	"Hong Gildong", "홍길동", "hong.gildong@example.org", "010-1234-5678", "900101-1234567", "4111 1111 1111 1111",
}

var confidential = []string{"zebrafish-question", "zebrafish-answer", "zebrafish-dataset", "zebrafish-file.csv", "zebrafish-suffix", "zebrafish-setting"}

// forms returns the bytes in which a value might stand in a file.
func forms(value string) map[string][]byte {
	utf16le := func(s string) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return b
	}
	return map[string][]byte{
		"plain": []byte(value), "UTF-16": utf16le(value), "hex": []byte(hex.EncodeToString([]byte(value))),
		"base64": []byte(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(value)), "=")[:len(value)]),
	}
}

// leaks returns the files under dir that hold a value in any form.
func leaks(t *testing.T, dir string, values []string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, v := range values {
			for form, want := range forms(v) {
				if bytes.Contains(b, want) || strings.Contains(path, v) {
					found = append(found, path+": "+v+" ("+form+")")
				}
			}
		}
		return nil
	})
	no(t, err)
	return found
}

// Nothing personal, and no text, name or value at all, can be read from any
// byte of the data directory: while the store is open, after it was closed, and
// with the values in the log as well as in tables.
func TestNothingReadable(t *testing.T) {
	dir := t.TempDir()
	key := ok(vault.KeyFile(filepath.Join(dir, "master.key")))(t)
	h := &home{t: t, dir: filepath.Join(dir, "store"), key: key}
	h.reopen()
	for round := range 2 { // the second time upon what the first has left in tables
		fill(t, h)
		if found := leaks(t, dir, append(planted, confidential...)); len(found) > 0 {
			t.Errorf("round %d: readable: %v", round, found)
		}
		h.check()
		no(t, h.Close())
		if found := leaks(t, dir, append(planted, confidential...)); len(found) > 0 {
			t.Errorf("round %d, closed: readable: %v", round, found)
		}
		h.Store = nil
		h.reopen()
	}
	// The values are there, for those who may.
	v := ok(h.Vault("clinic"))(t)
	all := ""
	for k := range ok(h.RawKeys("vault/clinic\x00v"))(t) {
		all += ok(v.Reveal(strings.TrimPrefix(k, "vault/clinic\x00v")))(t) + "\n"
	}
	if !strings.Contains(all, "hong.gildong@example.org") {
		t.Error("the vault has not taken the e-mail address, so this test proves nothing")
	}
	h.check()
	no(t, h.Close())
	// And the search finds what is there to be found.
	for form, b := range forms(planted[1]) {
		path := filepath.Join(dir, "control")
		no(t, os.WriteFile(path, append([]byte("xx"), b...), 0o600))
		if len(leaks(t, dir, planted)) == 0 {
			t.Errorf("the search does not find %s", form)
		}
	}
}

// fill stores the planted values in every way that the store has.
func fill(t *testing.T, h *home) {
	t.Helper()
	raw := "question,answer\n" + strings.Repeat(strings.Join(planted, ";")+",yes\n", 2000)
	f := ok(h.put(store.File{Name: "zebrafish-file.csv", Purpose: "import"}, strings.NewReader(raw)))(t)
	tokens := ok(h.Vault("clinic"))(t)
	m := ok(pii.New(tokens, pii.Options{}))(t)
	mask := func(text string) pii.Masked {
		out, _, err := m.Mask(text)
		no(t, err)
		return out
	}
	var list []store.NewExample
	for i := range 300 {
		q := mask("zebrafish-question: the e-mail of this patient is hong.gildong@example.org, phone 010-1234-5678")
		list = append(list, store.NewExample{Row: i + 1, Group: strings.Join(planted, " "), Messages: []store.NewMessage{
			{Role: "user", Content: q}, {Role: "assistant", Content: mask("zebrafish-answer " + strings.Repeat("word ", i))},
		}})
	}
	for _, value := range planted { // those that the rules may miss, too
		ok(tokens.Token("OTHER", value))(t)
	}
	ok(h.CreateVersion(context.Background(), store.NewVersion{Dataset: "zebrafish-dataset", FileID: f.ID, Examples: list}))(t)
	base := h.base("m")
	j := ok(h.CreateJob(store.Job{Base: base, Dataset: "zebrafish-dataset", Suffix: "zebrafish-suffix"}))(t)
	ok(h.AppendEvent(store.Event{JobID: j.ID, Message: "zebrafish-dataset"}))(t)
	a := ok(h.PutAnswer(store.NewAnswer{Model: base, Answer: mask("zebrafish-answer " + strings.Repeat("long ", 40_000))}))(t)
	ok(h.PutFeedback(store.NewFeedback{AnswerID: a.ID, Correction: mask("zebrafish-answer"), Comment: mask("hong.gildong@example.org")}))(t)
	no(t, h.PutSetting("zebrafish-setting", "zebrafish-answer"))
}
