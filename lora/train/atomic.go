package train

import (
	"io"

	"cloister/lora/atomicfile"
)

// beforeRename is called when a file is complete under its temporary name.
// Tests kill the process there.
var beforeRename = func(path string) {}

// writeAtomically is atomicfile.Write.
func writeAtomically(path string, write func(io.Writer) error) error {
	return atomicfile.Write(path, write, beforeRename)
}
