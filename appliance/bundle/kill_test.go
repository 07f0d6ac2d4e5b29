package bundle_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloister/appliance/appliancetest"
	"cloister/appliance/bundle"
	"cloister/appliance/engine"
	"cloister/appliance/models"
	"cloister/appliance/site"
	"cloister/store"
	"cloister/store/vault"
)

// The test binary is its own child: with childHome set it imports the bundle in
// childFile into that data directory, again and again, and says so.
const (
	childHome = "CLOISTER_BUNDLE_TEST_HOME"
	childFile = "CLOISTER_BUNDLE_TEST_FILE"
)

func TestMain(m *testing.M) {
	home := os.Getenv(childHome)
	if home == "" {
		os.Exit(m.Run())
	}
	if err := child(home, os.Getenv(childFile)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// child imports, removes, and imports again, for ever.
func child(home, file string) error {
	key, err := vault.KeyFile(filepath.Join(home, "master.key"))
	if err != nil {
		return err
	}
	st, err := store.Open(filepath.Join(home, "store"), key)
	if err != nil {
		return err
	}
	reg := models.New(st, func(context.Context, store.BaseModel, bool) (engine.Engine, error) { return nil, nil }, models.Config{Home: home})
	s, err := bundle.New(st, reg, site.New(st), home, "test")
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for {
		got, err := s.Import(context.Background(), bytes.NewReader(raw), bundle.ImportRequest{})
		if err != nil {
			return err
		}
		fmt.Println("imported", got.Added)
		for _, a := range got.Adapters {
			if err := reg.Remove(context.Background(), a.Name); err != nil {
				return err
			}
		}
	}
}

// A child that imports is killed at a random moment. Then all adapters of the
// bundle are there with their files, or none is, and nothing else lies around.
func TestKill(t *testing.T) {
	north := newPlace(t, "north")
	north.base("tiny")
	for i := range 3 {
		north.tuned("tiny", float32(i))
	}
	file := filepath.Join(t.TempDir(), "all.bundle")
	if err := os.WriteFile(file, north.export(bundle.ExportRequest{All: true}), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	key, err := vault.KeyFile(filepath.Join(home, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	south := placeOf(t, appliancetest.OpenStore(t, home, key), home)
	south.base("tiny")
	south.trusts(north)
	if err := south.st.Close(); err != nil {
		t.Fatal(err)
	}
	imports, partial := 0, 0
	for round := range 10 {
		var stderr bytes.Buffer
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childHome+"="+home, childFile+"="+file)
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(50+rand.IntN(600))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for sc := bufio.NewScanner(stdout); sc.Scan(); {
			imports++
		}
		err = cmd.Wait()
		if timer.Stop() || stderr.Len() > 0 {
			t.Fatalf("round %d: the child ended by itself: %v\n%s", round, err, stderr.String())
		}
		for _, name := range (&place{t: t, home: home}).files() {
			if strings.HasPrefix(name, ".bundle-") {
				partial++
			}
		}
		whole(t, home, key)
	}
	t.Logf("%d imports, %d files that were being received when the child was killed", imports, partial)
	if imports == 0 {
		t.Error("the children have imported nothing")
	}
}

// whole opens the data directory as the next start does, and looks around.
func whole(t *testing.T, home string, key vault.MasterKey) {
	t.Helper()
	p := placeOf(t, appliancetest.OpenStore(t, home, key), home)
	defer func() {
		if err := p.st.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.st.Check(t.Context()); err != nil {
		t.Error(err)
	}
	all, err := p.st.Adapters()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, a := range all {
		known[filepath.Base(a.Path)] = true
		if sumOf(t, filepath.Join(home, a.Path)) != a.SHA256 {
			t.Errorf("the file of %s is not whole", a.Name)
		}
		if _, err := p.st.Origin(a.Name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range p.files() {
		if !known[name] {
			t.Errorf("%s lies around", name)
		}
	}
}
