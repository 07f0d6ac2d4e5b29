// Package gguf reads and writes GGUF, the file format of llama.cpp for models
// and adapters, version 2 and 3, little-endian. It is pure Go.
//
// The layout (ggml's gguf.h): "GGUF", version uint32, number of tensors int64,
// number of key-value pairs int64; the pairs; for each tensor its name, its
// dimensions, its type and its offset; padding to the alignment (key
// general.alignment, else 32); the tensors' bytes, each at a multiple of the
// alignment.
//
// Files are not trusted. Each count and length is checked against what is left
// of the file and against fixed bounds before anything is allocated, so a
// truncated, hostile or endless file gets an error and never a panic or a huge
// allocation.
//
// A file may be a part of a larger one (Region): PATH@OFFSET+LENGTH names it
// wherever a path does, and offsets in a File count from its own beginning.
//
// Lifetimes: Open maps the file; the Data of its tensors is valid until Close.
// Metadata is copied and outlives the File. A File is safe for concurrent
// reading. The file must not be truncated by others while it is mapped.
package gguf
