// Package vault keeps secrets: the master key and the keys derived from it,
// sealed byte strings, sealed streams of any length, and the token vault that
// gives mask tokens to values.
//
// # Keys
//
// A [MasterKey] comes from a key file or from a passphrase. It never encrypts
// anything itself: [MasterKey.Derive] makes a [Key] for each purpose with
// HKDF-SHA-256 (RFC 5869). Neither prints: every verb of package fmt shows a
// placeholder.
//
// # Sealing
//
// Everything is sealed with AES-256-GCM and bound to a context, such as the id
// of the file, so that one sealed thing cannot stand in for another. Streams are
// sealed in chunks; the format is written at [NewWriter].
//
// # Concurrency and lifetimes
//
// Keys are values and safe for concurrent use. A [Writer] and a [Reader] belong
// to one goroutine. [Tokens] is safe for concurrent use.
package vault
