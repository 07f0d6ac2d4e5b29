package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// interpreter returns a Python with a client installed: the variable's, or what
// third_party/venv.sh makes, once, in the build cache.
func interpreter(t *testing.T, variable, name, pin string) string {
	t.Helper()
	if python := os.Getenv(variable); python != "" {
		return python
	}
	cmd := exec.Command("bash", "-c", ". ./pins.sh; ./venv.sh "+name+" $"+pin)
	cmd.Dir = filepath.Join("..", "..", "third_party")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("third_party/venv.sh: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// OpenAI's Python clients, the newest and the last of the old ones, run scripts
// that their users would write. The same scripts run against the real program
// with the real model in the end-to-end tests.
func TestPythonClients(t *testing.T) {
	for _, c := range []struct{ script, variable, name, pin string }{
		{"openai3.py", "CLOISTER_PYTHON_OPENAI3", "openai3", "OPENAI_3"},
		{"openai028.py", "CLOISTER_PYTHON_OPENAI028", "openai028", "OPENAI_028"},
	} {
		t.Run(c.script, func(t *testing.T) {
			python := interpreter(t, c.variable, c.name, c.pin)
			f := newFixture(t)
			f.trainer.Epochs = 1
			data := filepath.Join(t.TempDir(), "train.jsonl")
			if err := os.WriteFile(data, []byte(examples(20)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "clients", c.script), f.url+"/v1", "gpt-3.5-turbo", data).CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), "OK\n") {
				t.Errorf("%v\n%s\nlog:\n%s", err, out, f.log)
			}
		})
	}
}
