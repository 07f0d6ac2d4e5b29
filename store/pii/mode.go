package pii

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Mode is the way in which a finding is replaced. Where a mode does not know
// the form of a value, such as a foreign telephone number as a surrogate, the
// value gets a token.
type Mode string

// The modes. [Unmask] undoes tokens and surrogates; the others are for good.
const (
	// ModeToken writes a token of the vault, such as <PERSON_3>.
	ModeToken Mode = "token"
	// ModeLabel writes the kind of data, such as [PERSON].
	ModeLabel Mode = "label"
	// ModePartial hides a part behind asterisks: 010-****-5678.
	ModePartial Mode = "partial"
	// ModeSurrogate writes a value of the same form that is nobody's, and always
	// the same for the same value; a Korean particle behind it is changed to fit.
	ModeSurrogate Mode = "surrogate"
	// ModeShift moves the dates of a person by the same number of days, into the
	// years after 2100, so that what lies between them stays.
	ModeShift Mode = "shift"
	// ModeGeneralise says less: the year of a date, the province of an address.
	ModeGeneralise Mode = "generalise"
	// ModeHMAC writes 64 bits of HMAC-SHA-256 under the project's key, such as
	// <PERSON:0f1e2d3c4b5a6978>: the same for all ways to write a value.
	ModeHMAC Mode = "hmac"
	// ModeDelete writes nothing.
	ModeDelete Mode = "delete"
	// ModeKeep leaves an entity as it is.
	ModeKeep Mode = "keep"
)

var modes = []Mode{ModeToken, ModeLabel, ModePartial, ModeSurrogate, ModeShift, ModeGeneralise, ModeHMAC, ModeDelete, ModeKeep}

// Modes returns all modes.
func Modes() []Mode { return slices.Clone(modes) }

// UniqueEntities returns the unique identifiers of the law (group A): of them
// nothing should stay.
func UniqueEntities() []string {
	return []string{ResidentNumber, ForeignerNumber, Passport, DriverLicense, SocialSecurity}
}

// Fits returns an error that names the entities a mode is for when entity is
// not one of them.
func (m Mode) Fits(entity string) error {
	var list []string
	switch m {
	case ModeShift:
		list = []string{Date, DateOfBirth}
	case ModeGeneralise:
		list = []string{Date, DateOfBirth, Age, OldAge, Address}
	case ModeSurrogate:
		for _, e := range entities {
			if _, ok := surrogates[e]; ok {
				list = append(list, e)
			}
		}
	case ModePartial:
		if slices.Contains([]string{Secret, Date, DateOfBirth, Age, OldAge}, entity) {
			return fmt.Errorf("mode %s shows too much of a %s: use token, label, generalise where it fits, or delete", m, entity)
		}
		return nil
	default:
		if !slices.Contains(modes, m) {
			return fmt.Errorf("unknown masking mode %q", m)
		}
		return nil
	}
	if !slices.Contains(list, entity) {
		return fmt.Errorf("mode %s is for %s, not for %s: use token, label, partial, hmac or delete", m, strings.Join(list, ", "), entity)
	}
	return nil
}

// Pseudonyms is what a [Vault] has to be as well for [ModeSurrogate],
// [ModeShift] and [ModeHMAC].
type Pseudonyms interface {
	// MAC returns HMAC-SHA-256 of the parts under a key of the project.
	MAC(parts ...string) [sha256.Size]byte
	// Surrogate returns the surrogate of a value, and makes one at the first
	// time: propose is asked with 0, 1, … until it gives one that stands for
	// nothing else and is no known value, or refuses; then the result is empty.
	// Reveal returns the value of a surrogate.
	Surrogate(entity, value string, propose func(try int) (string, bool)) (string, error)
	// Surrogates calls each for all of them, in any order.
	Surrogates(each func(surrogate string) error) error
}

// needs says whether the mode needs Pseudonyms.
func (m Mode) needs() bool { return m == ModeSurrogate || m == ModeShift || m == ModeHMAC }

// marks says whether what the mode writes is recognised by its form alone, so
// that nothing new can be found once it stands there.
func (m Mode) marks() bool { return m == ModeToken || m == ModeLabel || m == ModeHMAC }

// modeOf returns the mode of a finding.
func (m *Masker) modeOf(f *Finding) Mode {
	if mode, ok := m.ruleModes[f.Recogniser]; ok {
		return mode
	}
	if mode, ok := m.modes[f.Entity]; ok {
		return mode
	}
	return m.mode
}

// hmac returns the mark of a value under ModeHMAC: <PERSON:16 hexadecimal digits>.
func (m *Masker) hmac(entity, value string) string {
	sum := m.names.MAC("hmac", entity, identityOf(value))
	return fmt.Sprintf("<%s:%x>", entity, sum[:8])
}

// identityOf returns a value as it is compared: letters and digits of the
// normalised text in lower case.
func identityOf(value string) string {
	d := newDoc(value, nil)
	defer d.free()
	if k := foldKey(d.r); k != "" {
		return k
	}
	return value
}

// hmacLen returns the length of a mark of ModeHMAC at the start of s, or 0.
func hmacLen(s string) int {
	i := 1
	for i < len(s) && i < 34 && (s[i] >= 'A' && s[i] <= 'Z' || s[i] == '_') {
		i++
	}
	if i < 3 || len(s) < i+18 || s[0] != '<' || s[i] != ':' || s[i+17] != '>' || strings.Trim(s[i+1:i+17], "0123456789abcdef") != "" {
		return 0
	}
	return i + 18
}
