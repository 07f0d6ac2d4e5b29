package gguf

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
)

// Region names a GGUF file: a file of its own, or a part of a larger one, as in
// a program that carries its model (cloister pack). Its text form, PATH or
// PATH@OFFSET+LENGTH, stands wherever a model or an adapter is named by a path:
// in records, requests to workers and Open.
type Region struct {
	Path string
	// Offset and Length in bytes. Length 0 means the whole file.
	Offset, Length int64
}

var regionForm = regexp.MustCompile(`^(.+)@([0-9]{1,19})\+([0-9]{1,19})$`)

// ParseRegion reads the text form. A file whose name only looks like a part of
// another one is itself: what exists under the whole text goes first.
func ParseRegion(text string) Region {
	m := regionForm.FindStringSubmatch(text)
	if m == nil {
		return Region{Path: text}
	}
	offset, err1 := strconv.ParseInt(m[2], 10, 64)
	length, err2 := strconv.ParseInt(m[3], 10, 64)
	if errors.Join(err1, err2) != nil || length == 0 || offset > math.MaxInt64-length {
		return Region{Path: text}
	}
	if _, err := os.Lstat(text); err == nil {
		return Region{Path: text}
	}
	return Region{m[1], offset, length}
}

// Whole reports whether the region is a file of its own.
func (r Region) Whole() bool { return r.Length == 0 }

// String is the text form.
func (r Region) String() string {
	if r.Whole() {
		return r.Path
	}
	return fmt.Sprintf("%s@%d+%d", r.Path, r.Offset, r.Length)
}

// Section is an open region; its offsets count from the region's beginning.
type Section struct {
	*io.SectionReader
	Region Region // its Length is that of the section, also for a whole file
	Info   os.FileInfo
	file   *os.File
}

// OpenSection opens the region that a text names. It must be a regular file
// that holds all of it.
func OpenSection(text string) (*Section, error) {
	r := ParseRegion(text)
	f, err := os.Open(r.Path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a file", r.Path)
	case r.Whole():
		r.Length = info.Size()
	case r.Offset+r.Length > info.Size():
		err = fmt.Errorf("%s has %d bytes; the part from %d to %d is not in it", r.Path, info.Size(), r.Offset, r.Offset+r.Length)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Section{io.NewSectionReader(f, r.Offset, r.Length), r, info, f}, nil
}

// Close closes the file.
func (s *Section) Close() error { return s.file.Close() }
