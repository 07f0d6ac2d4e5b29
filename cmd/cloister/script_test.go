package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cloister/llama/gguf/tinygguf"
	"cloister/llama/llamatest"
)

// The scripts run this very program, so they have its command line, its
// workers and its exit status.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cloister": main})
}

// TestScripts runs testdata/script, one file for each command. A script has an
// empty data directory ($CLOISTER_HOME), the real model ($MODEL), a small one
// that answers with noise ($TINY), a larger one with its tokens ($TEACHER), and beside testscript's own commands:
//
//	exits N PROGRAM…    runs a program that must end with status N
//	await PATTERN       waits until a file, such as a socket, is there
//	keep NAME PATTERN   sets a variable to what the pattern, or its group,
//	                    matches in the last standard output
//
// As many run at a time as there are cores. A script that leaves
// a store behind ends with 'cloister check' on it, whether it says so or not.
func TestScripts(t *testing.T) {
	model := llamatest.Model(t)
	tiny := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(tiny, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	larger := tinygguf.Default()
	larger.Layers, larger.Embedding, larger.Seed = 3, 48, 2
	teacher := filepath.Join(t.TempDir(), "teacher.gguf")
	if err := tinygguf.WriteFile(teacher, larger); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		RequireUniqueNames: true,
		ContinueOnError:    true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODEL", model)
			e.Setenv("TINY", tiny)
			e.Setenv("TEACHER", teacher)
			e.Setenv("CLOISTER_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "data"))
			e.Defer(func() { sound(t, e) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "await": await, "keep": keep},
	})
}

// sound checks the store that a script left, after its programs have ended.
func sound(t *testing.T, e *testscript.Env) {
	home := e.Getenv("CLOISTER_HOME")
	if _, err := os.Stat(filepath.Join(home, "store")); err != nil {
		return
	}
	check := exec.Command("cloister", "check", "--home", home)
	check.Env = e.Vars
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%s: the store is not sound at the end: %v\n%s", filepath.Base(e.WorkDir), err, out)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N PROGRAM…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await PATTERN")
	}
	for range 1200 {
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		if len(found) > 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s did not come", args[0])
}

func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME PATTERN")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	match := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if match == nil {
		ts.Fatalf("nothing matches %s", args[1])
	}
	ts.Setenv(args[0], match[len(match)-1])
}
