package archive

import (
	"archive/tar"
	"bytes"
	"time"
)

// block is what tar files consist of, in bytes.
const block = 512

// ustarMax is the longest file that a USTAR header can tell, in bytes.
const ustarMax = 1<<33 - 1

// header is the one header that a part can have. Names and sizes are within
// what one block holds.
func header(name string, size int64) []byte {
	var b bytes.Buffer
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if size > ustarMax {
		h.Format = tar.FormatGNU // its size is binary
	}
	if err := tar.NewWriter(&b).WriteHeader(&h); err != nil || b.Len() != block {
		panic("archive: a header that tar does not write in one block") // names and sizes are checked before
	}
	return b.Bytes()
}

// sizeIn reads the size that a header tells, or -1 if it is none.
func sizeIn(raw []byte) int64 {
	h, err := tar.NewReader(bytes.NewReader(raw)).Next()
	if err != nil {
		return -1
	}
	return h.Size
}

// padding is the number of zero bytes behind a part.
func padding(size int64) int64 { return (block - size%block) % block }

// trailer ends the archive.
const trailer = 2 * block
