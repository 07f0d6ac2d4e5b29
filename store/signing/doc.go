// Package signing says who made a file. A site, or whoever builds a packed
// program, has a pair of ed25519 keys (RFC 8032): the private one signs, and
// everybody who was given the public one can tell that nothing was changed and
// by whom it was signed.
//
// # Texts
//
// A public key is written "cloister-ed25519:" and 48 characters of base64url:
// the 32 bytes of the key and the first 4 of their SHA-256, so that a slip of
// the pen is noticed. A fingerprint is what two people read to each other over
// the telephone: the first 20 bytes of the key's SHA-256 as eight groups of
// four letters and digits.
//
// # Purposes
//
// A signature is made for a purpose, such as "cloister bundle 1", which is the
// context of Ed25519ctx (RFC 8032, 5.1): what was signed for one purpose is
// worth nothing for another.
//
// Keys are values and safe for concurrent use. A private key does not print.
package signing
