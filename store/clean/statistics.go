package clean

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cloister/store/ingest"
)

// Statistics describe the rows that were kept.
type Statistics struct {
	Questions TextStatistics `json:"questions"`
	Answers   TextStatistics `json:"answers"`
	// Languages are shares of rows, by the letters of question and answer: "ko",
	// "en" (Latin letters) and "other".
	Languages map[string]float64 `json:"languages,omitempty"`
	// DuplicateShare and NearDuplicateShare are shares of the rows passed in.
	DuplicateShare     float64 `json:"duplicate_share"`
	NearDuplicateShare float64 `json:"near_duplicate_share"`
	// Groups counts questions, near-duplicates as one; Conversations the rows
	// with several turns.
	Groups        int `json:"groups"`
	Conversations int `json:"conversations"`
}

// TextStatistics describe the questions or the answers; lengths in runes.
type TextStatistics struct {
	P5    int `json:"p5"`
	P50   int `json:"p50"`
	P95   int `json:"p95"`
	Max   int `json:"max"`
	Total int `json:"total"`
	// Distinct counts different texts.
	Distinct int `json:"distinct"`
	// Distinct1 and Distinct2 are different words and pairs of words divided by
	// all of them (Li et al. 2016, arXiv:1510.03055): low values mean that the
	// texts repeat each other.
	Distinct1 float64 `json:"distinct_1"`
	Distinct2 float64 `json:"distinct_2"`
}

// fewExamples is below what a set should have to learn from and test on.
const fewExamples = 50

// inspect fills statistics and flags of the kept rows.
func inspect(ctx context.Context, recs []ingest.Record, o Options, rep *Report) error {
	questions, answers := newTally(len(recs)), newTally(len(recs))
	languages := map[string]int{}
	groups := make(map[string]struct{}, len(recs))
	for i, rec := range recs {
		if err := ended(ctx, i); err != nil {
			return err
		}
		questions.add(rec.Prompt())
		answers.add(answer(rec))
		languages[language(rec.Prompt()+answer(rec))]++
		groups[rec.Group] = struct{}{}
		if rec.Messages != nil {
			rep.Statistics.Conversations++
		}
	}
	st := &rep.Statistics
	st.Questions, st.Answers, st.Groups = questions.statistics(), answers.statistics(), len(groups)
	for _, d := range rep.Dropped {
		switch d.Reason {
		case Duplicate:
			st.DuplicateShare += 1 / float64(rep.Rows)
		case NearDuplicate:
			st.NearDuplicateShare += 1 / float64(rep.Rows)
		}
	}
	if len(recs) > 0 {
		st.Languages = map[string]float64{}
		for l, n := range languages {
			st.Languages[l] = float64(n) / float64(len(recs))
		}
	}
	rep.bounds(o)
	rep.flag(recs, answers)
	return nil
}

// answer returns what a model is to say: the answer, or the last one of a
// conversation.
func answer(rec ingest.Record) string {
	if rec.Messages == nil {
		return rec.Answer
	}
	for _, m := range slices.Backward(rec.Messages) {
		if m.Role == ingest.RoleAssistant {
			return m.Content
		}
	}
	return ""
}

// bounds chooses what is too short, too long and too often. Answers that are
// labels (few different ones, short) are never too short or too often.
func (rep *Report) bounds(o Options) {
	a := rep.Statistics.Answers
	labels := rep.Kept > 0 && a.P50 < 30 && a.Distinct <= max(2, rep.Kept/10)
	rep.MinAnswer, rep.MaxAnswer, rep.SameAnswer = o.MinAnswer, o.MaxAnswer, o.SameAnswer
	if o.MinAnswer == 0 && !labels {
		rep.MinAnswer = max(2, min(10, a.P50/6))
	}
	if o.MaxAnswer == 0 {
		rep.MaxAnswer = max(2000, 10*a.P50)
	}
	if o.SameAnswer == 0 && !labels {
		rep.SameAnswer = max(10, rep.Kept/20)
	}
}

func (rep *Report) flag(recs []ingest.Record, answers *tally) {
	first := map[string]bool{}
	for _, rec := range recs {
		text := answer(rec)
		n := utf8.RuneCountInString(text)
		add := func(kind string, rows int) { rep.Flags = append(rep.Flags, Flag{Row: rec.Row, Flag: kind, Rows: rows}) }
		if n < rep.MinAnswer {
			add(AnswerShort, 0)
		}
		if n > rep.MaxAnswer {
			add(AnswerLong, 0)
		}
		if rows := answers.seen[text]; rep.SameAnswer > 0 && rows >= rep.SameAnswer && !first[text] {
			first[text] = true
			add(SameAnswer, rows)
		}
		if echoes(rec) {
			add(Echo, 0)
		}
		if broken(rec) {
			add(Broken, 0)
		}
	}
}

// echoes reports whether the answer only repeats the question.
func echoes(rec ingest.Record) bool {
	n, m := len(rec.Question), len(rec.Answer)
	if rec.Messages != nil || n > 2*m+16 || m > 2*n+16 { // fillers and punctuation are not that long
		return false
	}
	return key(words(rec.Answer)) == key(words(rec.Question))
}

func broken(rec ingest.Record) bool {
	for _, m := range rec.Turns() {
		if strings.ContainsRune(m.Content, utf8.RuneError) {
			return true
		}
	}
	return false
}

// tally gathers the texts of one column. Of words and pairs it keeps hashes:
// the words would hold on to a second copy of every text.
type tally struct {
	lengths      []int
	seen         map[string]int
	uni, bi      map[uint64]struct{}
	unis, bigram int
	total        int
}

var wordSeed = maphash.MakeSeed()

func newTally(n int) *tally {
	return &tally{lengths: make([]int, 0, n), seen: make(map[string]int, n),
		uni: map[uint64]struct{}{}, bi: map[uint64]struct{}{}}
}

func (t *tally) add(text string) {
	n := utf8.RuneCountInString(text)
	t.lengths = append(t.lengths, n)
	t.total += n
	t.seen[text]++
	last := uint64(0)
	for i, w := range strings.Fields(strings.ToLower(text)) {
		h := maphash.String(wordSeed, w)
		t.uni[h] = struct{}{}
		t.unis++
		if i > 0 {
			t.bi[mix(last)+h] = struct{}{}
			t.bigram++
		}
		last = h
	}
}

func (t *tally) statistics() TextStatistics {
	if len(t.lengths) == 0 {
		return TextStatistics{}
	}
	slices.Sort(t.lengths)
	at := func(percent int) int { return t.lengths[(len(t.lengths)-1)*percent/100] }
	return TextStatistics{
		P5: at(5), P50: at(50), P95: at(95), Max: at(100), Total: t.total, Distinct: len(t.seen),
		Distinct1: share(len(t.uni), t.unis), Distinct2: share(len(t.bi), t.bigram),
	}
}

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// language tells Korean, Latin script and others apart by counting letters.
func language(s string) string {
	hangul, latin, other := 0, 0, 0
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Hangul, r):
			hangul++
		case unicode.Is(unicode.Latin, r):
			latin++
		case unicode.IsLetter(r):
			other++
		}
	}
	switch {
	case hangul > 0 && hangul*2 >= latin && hangul >= other: // a syllable is worth two or three letters
		return "ko"
	case latin > 0 && latin >= other:
		return "en"
	}
	return "other"
}

// warn adds what a person should know before training.
func (rep *Report) warn() {
	add := func(format string, args ...any) { rep.Warnings = append(rep.Warnings, fmt.Sprintf(format, args...)) }
	if rep.Kept < fewExamples {
		add("Only %d %s left; below some %d a model learns little and the test says little. Add examples, best several phrasings of each question.", rep.Kept, oneOr(rep.Kept, "example is", "examples are"), fewExamples)
	}
	if rep.Rows > 0 && rep.DropRows*5 > rep.Rows {
		add("%d of %d rows %s dropped; look at the reasons before you train.", rep.DropRows, rep.Rows, oneOr(rep.DropRows, "was", "were"))
	}
	if n := rep.Flagged[Conflict]; n > 0 {
		add("%s a question that another row answers differently; correct the wrong %s, or the model learns both.", rowsThat(n, "ask"), plural(n, "one"))
	}
	if n := rep.Flagged[Broken]; n > 0 {
		add("%s characters that were lost in an earlier conversion; export the file anew as UTF-8.", rowsThat(n, "hold"))
	}
	if l := rep.Statistics.Languages; l["ko"] > 0.02 && l["en"] > 0.02 {
		add("The set mixes languages; make sure that questions and answers of a row are in the same one.")
	}
}

// rowsThat writes "1 row asks" and "2 rows ask".
func rowsThat(n int, verb string) string {
	if n == 1 {
		verb += "s"
	}
	return fmt.Sprintf("%d %s %s", n, plural(n, "row"), verb)
}

func plural(n int, word string) string { return oneOr(n, word, word+"s") }

func oneOr(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
