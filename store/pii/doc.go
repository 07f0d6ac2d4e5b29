package pii

import "sync"

// class is the kind of a normalised rune, all that most matchers look at.
type class uint8

const (
	cOther   class = iota // punctuation and symbols
	cSpace                // space and tab
	cNewline              // line breaks
	cDigit                // 0-9
	cUpper                // A-Z and other upper-case Latin letters
	cLower                // a-z, other Latin letters without case or in lower case
	cHangul               // syllables
	cHan                  // Chinese characters
	cLetter               // letters of other scripts
	cToken                // a mask token, one rune long
)

// personToken is the rune that stands for a mask token of a person; others are 0.
const personToken = 1

func (c class) latin() bool { return c == cUpper || c == cLower }
func (c class) word() bool  { return c >= cDigit && c <= cLetter }

// doc is one text, normalised, with what the scan found in it. Positions of
// matchers are indexes into r; only the last step goes back to bytes.
type doc struct {
	text string
	own  map[string]bool // labels of the user's entities, which stand for themselves
	r    []rune
	cls  []class
	off  []uint32 // byte offset in text where r[i] begins
	ends []uint32 // byte offset where r[i] ends: of a letter with its marks, the last of these

	stale   bool    // r has changed since it was scanned
	fresh   []int32 // indexes of the mask tokens that are new
	soft    []int32 // indexes before which an invisible character was dropped
	groups  []group // digit groups, in order
	split   []group // groups again, cut at the places in soft
	ats     []int32 // indexes of '@', and of the bracket of "(at)" and "[at]"
	persons []int32 // indexes of mask tokens of persons
	hans    []int32 // where runs of Chinese characters begin
	marks   []int32 // indexes of ':', '.' and '-', for addresses of machines
	words   []word  // runs of letters
	hits    []hit   // words of the lexicon, none inside another, in order
	flag    []uint8 // of each rune, and of the end

	hitIndex []int32 // of the first of hits that ends behind rune hitBlock*i

	values []value // where the values of labels may begin, in order

	dates []dateSpan
	cells []cell

	cands []cand
	weak  []koreanName // what just fell short of a name
	taken []bool
	order []int32 // of cands, from the best

	covered []bool          // by phrases that the user allows
	keep    map[string]bool // see keepSet
	steps   int             // work done in loops over the text, for the test of linear time
}

// group is a run of digits, r[start:end].
type group struct {
	start, end int32
	sep        sepKind // what stands between this group and the next one of the list
}

func (g group) len() int { return int(g.end - g.start) }

// word is a run of letters of one script, r[start:end].
type word struct {
	start, end int32
	hangul     bool
}

// hit is a word of the lexicon at r[start:end].
type hit struct {
	start, end int32
	kind       kind
}

// cand is a proposal of a recogniser.
type cand struct {
	start, end int
	entity     string
	score      float64
	recogniser string
	evidence   string
	rank       int // place of the recogniser in the table
}

var docs = sync.Pool{New: func() any { return new(doc) }}

// newDoc returns text normalised. own are entities of the user's.
func newDoc(text string, own map[string]bool) *doc {
	d := docs.Get().(*doc)
	d.own = own
	d.reset(text)
	d.normalise()
	return d
}

func (d *doc) reset(text string) {
	d.text = text
	d.r, d.cls, d.off, d.ends = d.r[:0], d.cls[:0], d.off[:0], d.ends[:0]
	d.soft = d.soft[:0]
	d.steps = 0
	d.fresh = d.fresh[:0]
	d.clearScan()
}

// clearScan forgets what was found in r, but not r.
func (d *doc) clearScan() {
	d.stale = true
	d.groups, d.split, d.ats, d.marks, d.persons, d.hans = d.groups[:0], d.split[:0], d.ats[:0], d.marks[:0], d.persons[:0], d.hans[:0]
	d.words, d.hits, d.values, d.cells = d.words[:0], d.hits[:0], d.values[:0], d.cells[:0]
	d.dates, d.cands, d.weak = d.dates[:0], d.cands[:0], d.weak[:0]
}

// clearCands forgets what was proposed.
func (d *doc) clearCands() { d.cands, d.weak = d.cands[:0], d.weak[:0] }

// free gives the work space back. A doc of a huge text is left to the collector.
func (d *doc) free() {
	d.text, d.own, d.keep = "", nil, nil
	clear(d.r) // no text outlives the call
	if cap(d.r) <= 1<<20 {
		docs.Put(d)
	}
}

// at returns r[i], or 0 outside of the text.
func (d *doc) at(i int) rune {
	if i < 0 || i >= len(d.r) {
		return 0
	}
	return d.r[i]
}

// class returns cls[i], or cNewline outside of the text.
func (d *doc) class(i int) class {
	if i < 0 || i >= len(d.cls) {
		return cNewline
	}
	return d.cls[i]
}

// byteStart returns where r[i] begins in the original text.
func (d *doc) byteStart(i int) int { return int(d.off[i]) }

// byteEnd returns where r[i-1] ends in the original text.
func (d *doc) byteEnd(i int) int { return int(d.ends[i-1]) }

// add records a proposal for r[start:end].
func (d *doc) add(rec *recogniser, start, end int, score float64, evidence string) {
	d.addAs(rec, rec.entity, start, end, score, evidence)
}

// addAs records a proposal of an entity that is not the recogniser's usual one.
func (d *doc) addAs(rec *recogniser, entity string, start, end int, score float64, evidence string) {
	d.cands = append(d.cands, cand{
		start: start, end: end, entity: entity, score: min(score, 1),
		recogniser: rec.name, evidence: evidence, rank: rec.rank,
	})
}

// slice returns the normalised text r[start:end].
func (d *doc) slice(start, end int) string { return string(d.r[start:end]) }
