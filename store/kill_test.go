package store_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloister/store"
	"cloister/store/vault"
)

// A child writes everything at once and is killed at a random moment, which may
// be while it opens the store. Then the store opens, nothing is half-written,
// and all that was acknowledged is there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	acks := map[string]string{}   // "file <id>" → what the child said of it
	latest := map[string]string{} // dataset → the last that the child said of it
	events := map[string]string{} // job → the number of its last event
	tokens := map[string]string{} // token → value
	for round := range rounds {
		var stderr bytes.Buffer
		cmd := command("write", dir)
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		no(t, err)
		no(t, cmd.Start())
		delay := time.Duration(rand.IntN(1200)) * time.Millisecond
		timer := time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		lines := 0
		for sc := bufio.NewScanner(stdout); sc.Scan(); lines++ {
			f := strings.Fields(sc.Text())
			switch f[0] {
			case "version", "dropping", "dropped":
				latest[f[1]] = sc.Text()
			case "token":
				if tokens[f[1]] != "" {
					t.Errorf("round %d: token %s came twice", round, f[1])
				}
				tokens[f[1]] = f[2]
			case "event":
				events[f[1]] = f[2]
			default:
				acks[f[0]+" "+f[1]] = f[2]
			}
		}
		err = cmd.Wait()
		if timer.Stop() || stderr.Len() > 0 {
			t.Fatalf("round %d: the child ended by itself: %v\n%s", round, err, tail(stderr.String()))
		}
		t.Logf("round %d: killed after %v, %d lines", round, delay, lines)
		afterKill(t, dir, acks, latest, events, tokens)
	}
	if len(acks) == 0 || len(latest) == 0 || len(tokens) == 0 {
		t.Errorf("the children wrote next to nothing: %d, %d, %d", len(acks), len(latest), len(tokens))
	}
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

// afterKill opens the store and compares it with what the children said.
func afterKill(t *testing.T, dir string, acks, latest, events, tokens map[string]string) {
	t.Helper()
	key, err := vault.KeyFile(filepath.Join(dir, "master.key"))
	no(t, err)
	h := &home{t: t, dir: filepath.Join(dir, "store"), key: key}
	h.reopen()
	h.check()
	for what, want := range acks {
		kind, id, _ := strings.Cut(what, " ")
		if got := h.found(kind, id); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	for name, line := range latest {
		h.atLeast(name, line)
	}
	for id, last := range events {
		list, err := h.EventsSince(id, 0)
		// There may be one more: written, and the child killed before it could say so.
		if n := fmt.Sprint(len(list)); err != nil || n != last && fmt.Sprint(len(list)-1) != last {
			t.Errorf("job %s has %s events, %v; want %s", id, n, err, last)
		}
	}
	v, err := h.Vault("p")
	no(t, err)
	for token, want := range tokens {
		if got, err := v.Reveal(token); err != nil || got != want {
			t.Errorf("token %s: %q, %v", token, got, err)
		}
	}
	if left := ok(h.RawKeys("stage/"))(t); len(left) != 0 {
		t.Errorf("%d sets are left in staging", len(left))
	}
	for _, name := range h.onDisk() {
		if strings.HasPrefix(name, "staged-") {
			t.Errorf("%s is left", name)
		}
	}
	no(t, h.Close())
}

// found returns what the store has of an acknowledged piece of work.
func (h *home) found(kind, id string) string {
	switch kind {
	case "file", "nofile":
		f, err := h.File(id)
		if err != nil {
			return "-"
		}
		return f.SHA256
	case "release":
		list, err := h.Releases("support")
		for _, r := range list {
			if r.Model == id {
				return fmt.Sprint(r.Number)
			}
		}
		return fmt.Sprint("no release ", err)
	case "answer":
		a, err := h.Answer(id)
		if err != nil {
			return err.Error()
		}
		return strings.TrimPrefix(a.Answer, "Write to ")
	}
	return "unknown kind"
}

// atLeast compares a dataset with the last that the child said of it. There may
// be one more version: written, and the child killed before it could say so.
func (h *home) atLeast(name, line string) {
	h.t.Helper()
	var n, examples int
	if _, err := fmt.Sscanf(line, "version "+name+" %d %d", &n, &examples); err != nil {
		return // it was being deleted
	}
	d, err := h.Dataset(name)
	if err != nil || d.Latest < n || d.Latest > n+1 {
		h.t.Errorf("dataset %s after %q: %+v, %v", name, line, d, err)
		return
	}
	if got := len(h.all(name, n, "")); got != examples {
		h.t.Errorf("%s: %d examples", line, got)
	}
}

// A child that holds the store keeps others out until it ends, however it ends.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	cmd := command("hold", dir)
	stdin := ok(cmd.StdinPipe())(t)
	stdout := ok(cmd.StdoutPipe())(t)
	no(t, cmd.Start())
	if line := ok(bufio.NewReader(stdout).ReadString('\n'))(t); line != "open\n" {
		t.Fatalf("the child says %q", line)
	}
	key, err := vault.KeyFile(filepath.Join(dir, "master.key"))
	no(t, err)
	_, err = store.Open(filepath.Join(dir, "store"), key)
	want(t, err, store.ErrInUse)
	no(t, cmd.Process.Kill())
	_ = cmd.Wait()
	_ = stdin.Close()
	st := ok(store.Open(filepath.Join(dir, "store"), key))(t)
	_, err = store.Open(filepath.Join(dir, "store"), key) // the same process is no exception
	want(t, err, store.ErrInUse)
	no(t, st.Check(t.Context()))
	no(t, st.Close())
}

// Bits that flip in the files of the database never lead to false data: the
// store does not open, or Check complains, or nothing was changed.
func TestFlippedBits(t *testing.T) {
	dir := t.TempDir()
	key := ok(vault.KeyFile(filepath.Join(dir, "master.key")))(t)
	h := &home{t: t, dir: filepath.Join(dir, "store"), key: key}
	h.reopen()
	h.version("d", someExamples(t, 200, "x"))
	h.base("m")
	ok(h.PutEvaluation(store.Evaluation{Model: "m", Report: []byte(`"` + strings.Repeat("big ", 50_000) + `"`)}))(t)
	sum := ok(digest(h.Store))(t)
	no(t, h.Close())
	if got := strings.TrimSpace(string(ok(command("dump", dir).Output())(t))); got != sum {
		t.Fatalf("the child sees %s, want %s", got, sum)
	}
	files, err := filepath.Glob(filepath.Join(h.dir, "db", "*"))
	no(t, err)
	outcomes := map[string]int{}
	for _, path := range files {
		whole := ok(os.ReadFile(path))(t)
		for range 4 {
			if len(whole) == 0 {
				break
			}
			bad := bytes.Clone(whole)
			bad[rand.IntN(len(bad))] ^= 1 << rand.IntN(8)
			copied := filepath.Join(t.TempDir(), "copy")
			no(t, os.CopyFS(copied, os.DirFS(dir)))
			no(t, os.Chmod(filepath.Join(copied, "master.key"), 0o600))
			no(t, os.WriteFile(filepath.Join(copied, "store", "db", filepath.Base(path)), bad, 0o600))
			cmd := command("dump", copied)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			switch got := strings.TrimSpace(string(out)); {
			case err != nil && strings.Contains(stderr.String(), "goroutine "):
				outcomes["crashed"]++
				t.Logf("%s: %.300s", filepath.Base(path), stderr.String())
			case err != nil:
				outcomes["refused"]++
			case got == sum:
				outcomes["harmless"]++
			default:
				t.Errorf("%s: a flipped bit changed the data and nobody noticed", filepath.Base(path))
			}
		}
	}
	t.Log(outcomes)
}
