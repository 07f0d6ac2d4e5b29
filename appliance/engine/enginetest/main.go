package enginetest

import (
	"fmt"
	"io"
	"os"
	"testing"

	"cloister/appliance/engine"
)

// Main is the TestMain of packages whose tests start workers: the test binary
// is its own worker when it is called as WorkerCommand says.
func Main(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "worker" {
		serve := engine.ServeInfer
		if dir := os.Getenv(cardEnv); dir != "" {
			serve = func(in io.Reader, out io.Writer) error { return engine.ServeInferWith(in, out, cardIn(dir)) }
		}
		switch os.Args[2] {
		case "train":
			serve = engine.ServeTrain
		case "devices":
			serve = func(_ io.Reader, out io.Writer) error { return engine.ServeDevices(out) }
		}
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// WorkerCommand starts a worker of that kind, "infer", "train" or "devices".
func WorkerCommand(kind string) []string { return []string{os.Args[0], "worker", kind} }
