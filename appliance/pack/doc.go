// Package pack reads and writes programs that carry their models: one
// executable file with the program, a base model, adapters and what belongs to
// them.
//
// # Layout
//
//	program            ELF, runs as ever: nothing reads beyond its own end
//	head               at the next page: 16 bytes of magic, zeros to the end of the page
//	model              GGUF, at the next page
//	adapter …          GGUF, each at the next page
//	manifest           JSON (Manifest): names, places and checksums of all parts
//	signature          JSON (Signature), or nothing
//	trailer            72 bytes: magic; offset and length of the manifest, length
//	                   of the signature, 8 bytes each, little-endian; SHA-256 of
//	                   the manifest
//
// A GGUF's tensors are aligned in the file as llama.cpp wants them for mapping,
// so a model is used where it lies, as a gguf.Region, and never copied out. Bytes
// between parts are zeros. Each part has a SHA-256 of its own and one for each
// piece of 16 MiB, so that damage is found with its place.
//
// # What is checked when
//
// Open checks the trailer, the manifest's checksum, the signature and that all
// parts are within the file: some kilobytes. Pack.Verify reads everything. Pack.Check
// is for the start of a program: it calls Verify only if the file is not the one
// that was verified before, by size, inode and times of change. The bytes of a
// disk can rot without these changing; Verify finds that.
//
// A signature says who packed the file to whoever checks it with another program
// than the file itself, and knows the key: a file that was made by somebody else
// says of itself what it wants.
//
// Nothing of a model is held in memory. A Pack is a value that is safe for
// concurrent reading.
package pack
