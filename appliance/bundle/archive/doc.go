// Package archive reads and writes the file of a bundle: a tar archive that any
// tar lists and unpacks, every byte of which is accounted for.
//
//	manifest.json    who made it, when, with which base models, and for each
//	                 part its name, length and SHA-256
//	manifest.sig     ed25519 signature of the bytes of manifest.json, base64
//	adapters/1.json  the parts, in the manifest's order: small records first,
//	…                then adapters
//
// The signature covers the manifest, the manifest covers the parts, and the
// headers between them are compared with the only ones that Write would have
// written (USTAR, mode 0644, no owner, no time). Nothing is compressed, and
// nothing may follow the end. So a flipped bit, a missing, swapped, added or
// renamed part, a part of another bundle, and a cut are all found, and what a
// part takes in memory or on the disk is known, and bounded, before it is read.
//
// Both directions stream: neither needs more memory than the manifest. A Reader
// belongs to one goroutine.
package archive
