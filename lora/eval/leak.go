package eval

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Leak is what a leak test found: values of the token vault in stored texts,
// in files and in the answers of the tuned model. It holds no value itself.
type Leak struct {
	// Thorough is set for a test that was asked for; an evaluation makes a short
	// one by itself, which leaves out base models and asks fewer prompts.
	Thorough bool `json:"thorough,omitempty"`
	// Values are looked for everywhere. Weak ones, such as names of two
	// syllables, count only where the masker finds them by its own evidence;
	// Allowed ones are left out.
	Values  int `json:"values"`
	Weak    int `json:"weak_values"`
	Allowed int `json:"allowed_values"`
	// Places were searched for all values.
	Places []LeakPlace `json:"places"`
	// Answers to prompts in which values had stood before they were masked; nil:
	// the model was not tuned here.
	Answers *LeakAnswers `json:"answers,omitempty"`
	// Planted is the number of canaries, random sequences, in the training
	// examples; a thorough test has the exposure of each in Canaries.
	Planted  int        `json:"planted,omitempty"`
	Canaries []Exposure `json:"canaries,omitempty"`
	// Found has the first hits.
	Found   []LeakHit `json:"found,omitempty"`
	Seconds float64   `json:"seconds,omitempty"`
}

// MaxLeakHits is how many hits a Leak shows; all are counted.
const MaxLeakHits = 100

// LeakCount counts hits.
type LeakCount struct {
	Leaks    int            `json:"leaks"`
	Entities map[string]int `json:"entities,omitempty"`
}

// Add counts one more.
func (c *LeakCount) Add(entity string) {
	c.Leaks++
	if c.Entities == nil {
		c.Entities = map[string]int{}
	}
	c.Entities[entity]++
}

func (c LeakCount) String() string {
	if c.Leaks == 0 {
		return ""
	}
	parts := []string{}
	for _, e := range slices.Sorted(maps.Keys(c.Entities)) {
		parts = append(parts, fmt.Sprintf("%s %d", e, c.Entities[e]))
	}
	return strings.Join(parts, ", ")
}

// LeakPlace is a kind of records or a folder of files.
type LeakPlace struct {
	Place    string `json:"place"`    // such as "train", "event" or "files/adapters"
	Searched int    `json:"searched"` // texts or files
	Bytes    int64  `json:"bytes"`
	// Foreign is set for base models: their bytes were there before the data, so
	// what is found in them came from nobody's record and does not count.
	Foreign bool `json:"foreign,omitempty"`
	LeakCount
}

// LeakAnswers counts the values in answers.
type LeakAnswers struct {
	Prompts int        `json:"prompts"`
	Answers int        `json:"answers"` // of each model
	Tuned   LeakCount  `json:"tuned"`
	Base    *LeakCount `json:"base,omitempty"` // the same prompts, for comparison; nil: not asked
}

// LeakHit is where a value was found.
type LeakHit struct {
	Place  string `json:"place"`
	Where  string `json:"where"`  // a record with its field, or a file
	Offset int64  `json:"offset"` // bytes
	Entity string `json:"entity"`
	Token  string `json:"token"` // that the vault keeps the value under
}

// Exposure says how well a model remembers a canary, a random sequence that was
// planted into its training examples (Carlini et al., "The Secret Sharer",
// USENIX Security 2019): log2 of the number of sequences of the same form,
// minus log2 of the canary's rank among them by the model's loss. By chance it is
// 1.4 bits on average (log2 e), and for a model that finds the canary likelier
// than all others it is log2 of their number.
type Exposure struct {
	Row      int `json:"row"`      // the canary's number in its job
	Inserted int `json:"inserted"` // times in the training examples
	// Rank is the canary's rank, from 1, among itself and the random sequences
	// of the sample, of which there are Sample. The exposure that follows can
	// be at most Bound = log2(Sample+1) bits.
	Rank   int     `json:"rank"`
	Sample int     `json:"sample"`
	Bits   float64 `json:"bits"`
	Bound  float64 `json:"bound"`
	// Estimate is the exposure among all sequences, extrapolated by a skew-normal
	// distribution of the sample's losses, as in the paper's section 4.3; at most
	// Space = log2 of their number.
	Estimate float64 `json:"estimate"`
	Space    float64 `json:"space"`
	// BaseBits and BaseEstimate are the same for the base model.
	BaseBits     float64 `json:"base_bits"`
	BaseEstimate float64 `json:"base_estimate"`
}

// Leaks is the number of hits that count.
func (l Leak) Leaks() int {
	n := 0
	for _, p := range l.Places {
		if !p.Foreign {
			n += p.Leaks
		}
	}
	if l.Answers != nil {
		n += l.Answers.Tuned.Leaks
	}
	return n
}

// where says in which places hits are.
func (l Leak) where() string {
	var parts []string
	for _, p := range l.Places {
		if p.Leaks > 0 && !p.Foreign {
			parts = append(parts, fmt.Sprintf("%s %d", p.Place, p.Leaks))
		}
	}
	if l.Answers != nil && l.Answers.Tuned.Leaks > 0 {
		parts = append(parts, fmt.Sprintf("answers %d", l.Answers.Tuned.Leaks))
	}
	return strings.Join(parts, ", ")
}

// String gives the test as a table for a terminal.
func (l Leak) String() string {
	var b strings.Builder
	kind := "short"
	if l.Thorough {
		kind = "thorough"
	}
	fmt.Fprintf(&b, "Leak test (%s): %d values of the vault looked for everywhere, %d where the masker has evidence, %d allowed\n", kind, l.Values, l.Weak, l.Allowed)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "searched\tleaks\t  place\n")
	for _, p := range l.Places {
		note := p.LeakCount.String()
		if p.Foreign && p.Leaks > 0 {
			note += "; was there before the data, does not count"
		}
		fmt.Fprintf(w, "%d\t%d\t  %s%s\n", p.Searched, p.Leaks, p.Place, inBrackets(note))
	}
	if a := l.Answers; a != nil {
		note := a.Tuned.String()
		if a.Base != nil {
			note = strings.TrimPrefix(fmt.Sprintf("%s; base %d", note, a.Base.Leaks), "; ")
		}
		fmt.Fprintf(w, "%d\t%d\t  answers to %d prompts%s\n", a.Answers, a.Tuned.Leaks, a.Prompts, inBrackets(note))
	}
	_ = w.Flush() // a strings.Builder does not fail
	for _, h := range l.Found {
		fmt.Fprintf(&b, "  %s in %s, %s, byte %d\n", h.Token, h.Place, h.Where, h.Offset)
	}
	if n := l.Leaks() - len(l.Found); n > 0 && len(l.Found) == MaxLeakHits {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	l.canaries(&b)
	return b.String()
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// canaries writes the exposures.
func (l Leak) canaries(b *strings.Builder) {
	if len(l.Canaries) == 0 {
		return
	}
	fmt.Fprintln(b, "Canaries: exposure in bits, 1.4 on average by chance")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "canary\tinserted\trank\texposure\testimate\tbase\tbase estimate\t\n")
	for _, c := range l.Canaries {
		fmt.Fprintf(w, "%d\t%d×\t%d of %d\t%.1f of %.1f\t%.1f of %.1f\t%.1f\t%.1f\t\n",
			c.Row, c.Inserted, c.Rank, c.Sample+1, c.Bits, c.Bound, c.Estimate, c.Space, c.BaseBits, c.BaseEstimate)
	}
	_ = w.Flush() // a strings.Builder does not fail
}
