package vault

import "errors"

// Errors that callers tell apart.
var (
	// ErrDamaged says that sealed data does not open: it was changed, cut
	// short, put in another place or sealed under another key.
	ErrDamaged = errors.New("the sealed data is damaged or belongs to another key")
	// ErrWrongPassphrase says that a passphrase is not the one that the salt file was made with.
	ErrWrongPassphrase = errors.New("the passphrase is wrong")
	// ErrBadKeyFile says that a key file or salt file cannot be used.
	ErrBadKeyFile = errors.New("the key file cannot be used")
)
