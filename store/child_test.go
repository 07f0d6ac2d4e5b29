package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"cloister/store"
	"cloister/store/pii"
	"cloister/store/vault"
)

// The test binary is its own child: with childMode set it does that instead of
// running tests, on the store in childDir, and tells on standard output what it
// has done. The key is in <childDir>/master.key.
const (
	childMode = "CLOISTER_STORE_TEST_CHILD"
	childDir  = "CLOISTER_STORE_TEST_DIR"
)

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		os.Exit(m.Run())
	}
	if err := child(mode, os.Getenv(childDir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// command is a child process that is not yet started.
func command(mode, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"="+mode, childDir+"="+dir)
	return cmd
}

func child(mode, dir string) error {
	key, err := vault.KeyFile(filepath.Join(dir, "master.key"))
	if err != nil {
		return err
	}
	st, err := store.Open(filepath.Join(dir, "store"), key)
	if err != nil {
		return err
	}
	switch mode {
	case "hold": // until the parent goes away
		fmt.Println("open")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return st.Close()
	case "dump":
		sum, err := digest(st)
		if err != nil {
			return err
		}
		fmt.Println(sum)
		return st.Close()
	case "write":
		return write(st)
	}
	return errors.New("unknown mode")
}

// digest checks a store and returns a hash of everything in it.
func digest(st *store.Store) (string, error) {
	if err := st.Check(context.Background()); err != nil {
		return "", err
	}
	all, err := st.RawKeys("")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(all)) {
		_, _ = fmt.Fprintf(h, "%q %q\n", k, all[k])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// write does all kinds of work for ever, in several goroutines, and prints a
// line for each piece that the store has acknowledged.
func write(st *store.Store) error {
	if err := st.PutBaseModel(store.BaseModel{Name: "m"}); err != nil {
		return err
	}
	var out sync.Mutex
	done := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	failed := make(chan error)
	for _, work := range []func(*store.Store, func(string, ...any)) error{writeVersions, writeFiles, writeJobs, writeAnswers} {
		go func() {
			for {
				if err := work(st, done); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func maskedText(text string) pii.Masked {
	m, err := pii.New(pii.MemoryVault(), pii.Options{})
	if err != nil {
		panic(err)
	}
	out, _, err := m.Mask(text)
	if err != nil {
		panic(err)
	}
	return out
}

func writeVersions(st *store.Store, done func(string, ...any)) error {
	name := fmt.Sprint("d", rand.IntN(3))
	if rand.IntN(8) == 0 {
		done("dropping %s", name)
		if err := st.DeleteDataset(name); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		done("dropped %s", name)
		return nil
	}
	// A version of many examples takes several transactions, and so a kill may come between them.
	size := 1 + rand.IntN([]int{300, 300, 60_000}[rand.IntN(3)])
	n := store.NewVersion{Dataset: name, Examples: make([]store.NewExample, size)}
	messages := []store.NewMessage{{Role: "user", Content: maskedText("question")}, {Role: "assistant", Content: maskedText("answer")}}
	for i := range n.Examples {
		n.Examples[i] = store.NewExample{Row: i + 1, Group: fmt.Sprint(i), Messages: messages}
	}
	v, err := st.CreateVersion(context.Background(), n)
	if err != nil {
		return err
	}
	done("version %s %d %d", name, v.Number, len(n.Examples))
	return nil
}

func writeFiles(st *store.Store, done func(string, ...any)) error {
	data := make([]byte, rand.IntN(400_000))
	_, _ = rand.NewChaCha8([32]byte{byte(rand.IntN(256))}).Read(data)
	f, err := st.PutFile(context.Background(), store.File{}, bytes.NewReader(data))
	if err != nil {
		return err
	}
	if rand.IntN(3) > 0 {
		sum := sha256.Sum256(data)
		done("file %s %x", f.ID, sum)
		return nil
	}
	if err := st.DeleteFile(f.ID); err != nil {
		return err
	}
	done("nofile %s -", f.ID)
	return nil
}

func writeJobs(st *store.Store, done func(string, ...any)) error {
	j, err := st.CreateJob(store.Job{Base: "m"})
	if err != nil {
		return err
	}
	for range 1 + rand.IntN(10) {
		e, err := st.AppendEvent(store.Event{JobID: j.ID})
		if err != nil {
			return err
		}
		done("event %s %d", j.ID, e.Seq)
	}
	if err := st.PutAdapter(store.Adapter{Name: "ft:" + j.ID, Base: "m", JobID: j.ID}); err != nil {
		return err
	}
	_, err = st.UpdateJob(j.ID, func(j *store.Job) error {
		j.Status, j.Adapter = store.JobSucceeded, "ft:"+j.ID
		return nil
	})
	if err != nil {
		return err
	}
	if r, err := st.Deploy("support", store.Release{Model: "ft:" + j.ID}); err == nil {
		done("release ft:%s %d", j.ID, r.Number)
	}
	return err
}

func writeAnswers(st *store.Store, done func(string, ...any)) error {
	tokens, err := st.Vault("p")
	if err != nil {
		return err
	}
	value := fmt.Sprint("value-", rand.Uint64())
	token, err := tokens.Token("EMAIL", value)
	if err != nil {
		return err
	}
	a, err := st.PutAnswer(store.NewAnswer{Model: "m", Answer: maskedText("Write to " + token)})
	if err != nil {
		return err
	}
	done("token %s %s", token, value)
	done("answer %s %s", a.ID, token)
	return nil
}
