package gguf

import (
	"fmt"
	"io"
)

// OpenHeader reads the metadata and the list of tensors of a GGUF file, named as
// for Open, whose
// tensors need not be there: the first megabytes of a large model are enough.
// Tensors have no Data; offsets and Size are those of the whole file. There is
// nothing to close.
func OpenHeader(path string) (*File, error) {
	s, err := OpenSection(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	g, err := ReadHeader(s, s.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// ReadHeader is OpenHeader for the size bytes of r.
func ReadHeader(r io.ReaderAt, size int64) (*File, error) {
	d := newDecoder(r, size)
	d.headerOnly = true
	g, err := d.file()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	g.HeaderOnly, g.Size = true, g.end()
	return g, nil
}

// end is where the last tensor ends, or the header of a file without tensors.
func (f *File) end() int64 {
	end := f.HeaderBytes
	for i := range f.Tensors {
		end = max(end, int64(f.Tensors[i].Offset+f.Tensors[i].Bytes()))
	}
	return end
}
