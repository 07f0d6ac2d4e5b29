package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/llama"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version of this program",
		UsageText: "cloister version",
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0); err != nil {
				return err
			}
			if c.Bool("json") {
				return printJSON(c, about())
			}
			_, err := fmt.Fprintf(c.App.Writer, "cloister %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// llamaVersion and llamaCommit are set by the Makefile to those of third_party/pins.sh.
var llamaVersion, llamaCommit string

// built is what version --json prints.
type built struct {
	Version       string            `json:"version"`
	Go            string            `json:"go"`
	Platform      string            `json:"platform"`
	Backends      []string          `json:"backends"`                // what it can compute on: "CPU", "CUDA"
	Architectures []string          `json:"architectures,omitempty"` // of the CUDA kernels: "90-real" is code, "90-virtual" PTX
	Sources       map[string]string `json:"sources"`                 // what is linked, and of which version
}

func about() built {
	b := llama.BuildInfo()
	out := built{
		Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Backends: []string{"CPU"}, Sources: map[string]string{"llama.cpp": b.LlamaCpp},
	}
	// The linked archive knows its revision; the rest is said only where it agrees.
	if b.LlamaCpp != "" && strings.HasPrefix(llamaCommit, b.LlamaCpp) {
		out.Sources["llama.cpp"] = llamaVersion + " " + llamaCommit
	}
	if b.CUDA != nil {
		out.Backends = append(out.Backends, "CUDA")
		out.Architectures = b.CUDA.Archs
		out.Sources["cuda"] = b.CUDA.Toolkit
		out.Sources["cublas"] = b.CUDA.CUBLAS
	}
	return out
}

// version is the module's version, or else the revision that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "-changed"
		}
	}
	if revision == "" {
		return "devel"
	}
	return revision[:min(12, len(revision))] + changed
}
