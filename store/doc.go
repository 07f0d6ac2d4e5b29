// Package store keeps everything that Cloister remembers: models, datasets,
// files, jobs, releases, answers and what people say of them. It is the only
// importer of Badger.
//
// # On disk
//
//	<dir>/FORMAT   tells that there is a store here
//	<dir>/LOCK     held while a process has the store open
//	<dir>/db/      Badger, encrypted (AES-256-CTR under keys that the master key seals)
//	<dir>/files/   uploaded files, sealed in chunks (AES-256-GCM), named by id
//
// The key space is drawn in keys.go. Every change is one transaction, durable
// when the method returns; what is larger than a transaction (the examples of a
// version, the bytes of a file) is first staged where nobody sees it and then
// published by a transaction. Open sweeps what a crash left in staging. A power
// cut or kill -9 at any moment loses nothing that was acknowledged and leaves
// nothing half-written.
//
// # References
//
// A record that names another is refused when the other does not exist, and a
// record that others need is not deleted. Where history may outlive what it
// names (a finished job its training file, a judgement its answer), the deleted
// record leaves a tombstone with its id. [Store.Check] verifies all of this.
//
// # Privacy
//
// Texts of examples, answers and judgements are taken as pii.Masked, which only
// a masker makes. Raw values are in two places, both sealed: the uploaded
// originals, and the token vault that [Store.Vault] returns. No error holds
// texts of records.
//
// # Concurrency and lifetimes
//
// A Store is safe for concurrent use. Functions that are given to Update
// methods may run several times and must not call the store. Iterators read one
// state of the store, from their first step to their last. Close waits for
// running calls and iterators; later ones fail with ErrClosed. A second process
// that opens the same folder gets ErrInUse.
package store
