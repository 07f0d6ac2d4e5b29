package pack

import (
	"debug/elf"
	"fmt"
	"io"
)

// programEnd is where an ELF file ends by its own account: behind its sections,
// segments and tables. What follows is not the program's.
func programEnd(r io.ReaderAt) (int64, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return 0, fmt.Errorf("it is no program of this system: %w", err)
	}
	defer f.Close()
	if f.Class != elf.ELFCLASS64 {
		return 0, fmt.Errorf("it is a program for %s", f.Class)
	}
	// debug/elf does not tell where the two tables lie; the header does.
	var head [64]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return 0, err
	}
	table := func(offsetAt, sizeAt, countAt int) uint64 {
		return f.ByteOrder.Uint64(head[offsetAt:]) + uint64(f.ByteOrder.Uint16(head[sizeAt:]))*uint64(f.ByteOrder.Uint16(head[countAt:]))
	}
	end := max(uint64(len(head)), table(32, 54, 56), table(40, 58, 60))
	for _, p := range f.Progs {
		end = max(end, p.Off+p.Filesz)
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOBITS {
			end = max(end, s.Offset+s.FileSize)
		}
	}
	if int64(end) < 0 {
		return 0, fmt.Errorf("its header is damaged")
	}
	return int64(end), nil
}
