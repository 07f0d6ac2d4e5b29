package store

import "crypto/rand"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewID returns prefix and 24 random characters of base 62: 142 bits.
func NewID(prefix string) string {
	const length = 24
	id := make([]byte, 0, length)
	var random [length]byte
	for len(id) < length {
		_, _ = rand.Read(random[:])
		for _, b := range random {
			// 62·4 = 248 values of a byte fall evenly on the characters; the others are thrown away.
			if b < 248 && len(id) < length {
				id = append(id, base62[b%62])
			}
		}
	}
	return prefix + string(id)
}

// identify gives a record an id if it has none.
func identify(id *string, prefix string) {
	if *id == "" {
		*id = NewID(prefix)
	}
}
