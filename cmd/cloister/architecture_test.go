package main_test

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The import rules of ARCHITECTURE.md. A pattern ends in "/..." for a whole tree.
var forbidden = []struct{ pkg, imports, why string }{
	{"cloister/llama/...", "cloister/lora/...", "running a model does not depend on learning"},
	{"cloister/llama/...", "cloister/store/...", "a model knows nothing of what is stored"},
	{"cloister/llama/...", "cloister/appliance/...", "a model knows nothing of HTTP and jobs"},
	{"cloister/lora/...", "cloister/store/...", "examples come as values, from wherever"},
	{"cloister/lora/...", "cloister/appliance/...", "training knows nothing of HTTP and jobs"},
	{"cloister/store/...", "cloister/llama/...", "the store holds records, not models"},
	{"cloister/store/...", "cloister/lora/...", "the store holds records, not models"},
	{"cloister/store/...", "cloister/appliance/...", "the store serves the appliance, not the other way round"},
	{"cloister/appliance/openai", "cloister/...", "wire types stand alone"},
	{"cloister/appliance/...", "cloister/cmd/...", "the command line is one client among others"},
	{"cloister/appliance/...", "cloister/llama/internal/...", "native code is behind package llama"},
}

// Outside packages that only one tree may import.
var only = []struct{ pkg, by, why string }{
	{"github.com/dgraph-io/badger/...", "cloister/store/...", "the key space is in one place"},
	{"github.com/urfave/cli/...", "cloister/cmd/...", "flags are the command line's"},
	{"C", "cloister/llama/internal/capi", "two fences of native code"},
}

func matches(pattern, pkg string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == tree || strings.HasPrefix(pkg, tree+"/")
	}
	return pkg == pattern
}

func TestImportRules(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}{{if .CgoFiles}} C{{end}}`, "cloister/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		pkg := fields[0]
		packages++
		for _, imp := range fields[1:] {
			for _, r := range forbidden {
				if matches(r.pkg, pkg) && matches(r.imports, imp) && pkg != imp {
					t.Errorf("%s imports %s: %s", pkg, imp, r.why)
				}
			}
			for _, r := range only {
				if matches(r.pkg, imp) && !matches(r.by, pkg) && !(imp == "C" && pkg == "cloister/lora/internal/native") {
					t.Errorf("%s imports %s, which only %s may: %s", pkg, imp, r.by, r.why)
				}
			}
		}
	}
	if packages < 20 {
		t.Errorf("go list found %d packages; the test looks at the wrong place", packages)
	}
}

// Connections are made in two places, both to Unix sockets or an address that
// the user typed; a third tries whether the fence of package airgap refuses
// them. Everything else has no way out.
func TestNothingDials(t *testing.T) {
	dial := regexp.MustCompile(`net\.Dial|net\.Dialer|http\.(Get\(|Post\(|PostForm\(|Head\(|DefaultClient|DefaultTransport|Client\{|Transport\{)|\.DialContext\(`)
	allowed := map[string]string{
		"appliance/engine/process.go": "the worker, over a Line",
		"appliance/airgap/trials.go":  "what the fence must refuse",
		"appliance/service/notify.go": "systemd, which started it, by a Unix datagram",
		"appliance/client/client.go":  "the appliance that the user named",
	}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m := dial.Find(src); m != nil && allowed[filepath.ToSlash(rel)] == "" {
			t.Errorf("%s dials (%s)", rel, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// third_party/LICENSES.txt has the licence of every module that is linked in.
func TestLicences(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "third_party", "LICENSES.txt"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}`, "cloister/cmd/cloister")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(modules) < 10 {
		t.Fatalf("%d modules", len(modules))
	}
	for _, m := range append(modules, "github.com/pkoukk/tiktoken-go-loader v0.0.2", "llama.cpp ", "GNU C Library", "libstdc++ and libgcc", "CUTLASS ", "NVIDIA CUDA runtime ") {
		if !bytes.Contains(text, []byte("=\n"+m)) {
			t.Errorf("the licence of %s is missing; run third_party/licenses.sh", m)
		}
	}
}
