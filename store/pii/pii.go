// Package pii finds personal data in Korean and English text and masks it.
//
// A [Masker] normalises a text once (NFC, full-width forms, the digits of every
// script, dashes, invisible characters) with a map back to the original bytes,
// scans it once for candidates, and lets a table of small matchers judge them.
// Words nearby raise or lower a score; overlaps are settled by one rule, which
// is written at resolve; each [Finding] can say why it was made.
//
// # Privacy
//
// [Masked] has an unexported field, and only a Masker makes one that is not
// empty: a store that takes Masked cannot be given raw text by mistake. No
// error of this package holds any part of a text.
//
// # Concurrency and lifetimes
//
// A Masker is safe for concurrent use when its [Vault] is; it holds no text
// between calls. A [MemoryVault] is safe for concurrent use. Time and memory
// grow linearly with the text: some 20 bytes of work space for each character.
//
// # Limits
//
// The rules find names by evidence: a label, a role, a title, a particle that
// only persons take, a known first name, or the same name elsewhere in the
// record. A name that stands alone in free chat can be missed, and so can an
// address without a number. Checksums raise a score; they reject only cards and
// business numbers, and those only where no label says what they are. The
// figures on the test data are printed by
//
//	go test -v -run Evaluation ./store/pii
package pii

// Masked is a text in which personal data was replaced by mask tokens. Only a
// [Masker] makes one; the zero value is the empty text.
type Masked struct {
	text string
}

// String returns the masked text.
func (m Masked) String() string { return m.text }

// MarshalText returns the masked text. There is no UnmarshalText on purpose.
func (m Masked) MarshalText() ([]byte, error) { return []byte(m.text), nil }

// Finding is one stretch of text that holds personal data.
type Finding struct {
	// Entity is one of the constants of this package, such as [Person].
	Entity string `json:"entity"`
	// Start and End are bytes of the original text, on rune borders.
	Start int `json:"start"`
	End   int `json:"end"`
	// Token is what stands there in the masked text, and Mode what made it; Find
	// leaves them empty.
	Token string `json:"token,omitempty"`
	Mode  Mode   `json:"mode,omitempty"`
	// Score is how sure the rules are, above 0 and at most 1.
	Score float64 `json:"score"`
	// Recogniser names the rule, and Evidence what spoke for it, without any
	// part of the text itself.
	Recogniser string `json:"recogniser"`
	Evidence   string `json:"evidence"`
}

// Options configure a Masker. The zero value masks [DefaultEntities] with tokens.
type Options struct {
	// Allow holds values that stay, such as the institution's own names and
	// numbers. They are compared without regard to case, spaces, separators and
	// width of characters.
	Allow []string
	// AllowPatterns are regular expressions, as in [Rule]: a finding that one of
	// them matches from its first character to its last stays.
	AllowPatterns []string
	// Entities to mask; empty means all of [DefaultEntities] and those of Rules.
	Entities []string
	// Rules of the user's own. They stand before the built-in recognisers.
	Rules []Rule
	// Mode of replacement; empty means [ModeToken].
	Mode Mode
	// Modes of entities that differ from Mode.
	Modes map[string]Mode
	// MinScore is the lowest score that is masked; 0 means [DefaultMinScore].
	MinScore float64
}

// DefaultMinScore is the score from which a finding is masked.
const DefaultMinScore = 0.5
