package clean

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Group returns a key that near-duplicates of a question share: questions that
// differ only in case, punctuation, white space, width of characters, greetings
// and other politeness, or Korean particles and endings. Other words, another
// order of words, and numbers make another group: paraphrases have groups of
// their own. The key is a hash and does not show the question.
//
// Typing errors are not seen here; Clean sees them, and gives such rows the
// group of the first.
func Group(question string) string { return groupOf(key(words(question))) }

func groupOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:12])
}

// word is a word of a text in normal form.
type word struct {
	text     string // lower case
	stem     string // without Korean particle and ending
	particle string // class of what was taken off, or ""
	proper   bool   // a name: a capital letter inside a sentence, or after a title
	filler   bool   // carries no question
	number   bool   // holds a digit
}

// words splits a text into words in normal form, without fillers unless there
// is nothing else.
func words(s string) []word {
	s = norm.NFKC.String(s)
	var out, fillerWords []word
	start := true // of a sentence
	last := word{}
	for len(s) > 0 {
		i := strings.IndexFunc(s, wordRune)
		if i < 0 {
			break
		}
		if strings.ContainsAny(s[:i], ".!?\n:") {
			start = true
		}
		title := titles[last.text]
		s = s[i:]
		end := wordEnd(s)
		w := normalWord(s[:end], start && !title)
		w.proper = w.proper || title
		s, start, last = s[end:], false, w
		if w.filler {
			fillerWords = append(fillerWords, w)
		} else if w.stem != "" {
			out = append(out, w)
		}
	}
	if len(out) == 0 {
		return fillerWords
	}
	return out
}

func wordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || unicode.IsSymbol(r) && !strings.ContainsRune("`^~|", r)
}

// wordEnd returns the length of the word at the start of s. An apostrophe is
// part of a word, as are the points of "7.40" and the colon of "7:40".
func wordEnd(s string) int {
	prev := rune(0)
	for i, r := range s {
		next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		inside := wordRune(r) ||
			(r == '\'' || r == '’') && unicode.IsLetter(prev) && unicode.IsLetter(next) ||
			strings.ContainsRune(".:,/-", r) && unicode.IsDigit(prev) && unicode.IsDigit(next)
		if !inside {
			return i
		}
		prev = r
	}
	return len(s)
}

func normalWord(s string, start bool) word {
	first, _ := utf8.DecodeRuneInString(s)
	w := word{
		proper: unicode.IsUpper(first) && !start && s != "I" && !strings.HasPrefix(s, "I'") && !strings.HasPrefix(s, "I’"),
		number: strings.ContainsFunc(s, unicode.IsDigit),
	}
	w.text = strings.ToLower(s)
	if strings.ContainsAny(w.text, "'’") {
		w.text = apostrophes.Replace(w.text)
	}
	w.filler = fillers[w.text]
	w.stem, w.particle = splitParticle(w.text)
	return w
}

var apostrophes = strings.NewReplacer("'", "", "’", "")

// key joins words to what Group hashes. White space is not part of it, as
// Korean sets it freely, nor are, for the same reason, the syllables of common
// particles, wherever they stand; only numbers stay apart.
func key(ws []word) string {
	return join(ws, func(w word) string {
		if w.stem == w.text && !strings.ContainsFunc(w.text, particleSyllable) {
			return w.text
		}
		return strings.Map(func(r rune) rune {
			if particleSyllable(r) {
				return -1
			}
			return r
		}, stemOfEnding(w.text))
	})
}

// join writes words one after another, numbers apart.
func join(ws []word, form func(word) string) string {
	var b strings.Builder
	for i, w := range ws {
		if i > 0 && w.number && ws[i-1].number {
			b.WriteByte(' ')
		}
		b.WriteString(form(w))
	}
	return b.String()
}

func particleSyllable(r rune) bool { return strings.ContainsRune("은는이가을를의에", r) }

// fillers are words that carry no question: greetings, politeness, articles.
var fillers = wordSet(`hi hello hey dear please pls thanks thank kindly um uh just so the a an
	안녕하세요 안녕하십니까 혹시 저기 저기요 좀 감사합니다 고맙습니다 수고하세요 수고하십니다 문의드립니다 여쭤봅니다 질문드립니다`)

// titles are words after which a name stands.
var titles = wordSet(`dr mr mrs ms miss prof professor doctor nurse`)

func wordSet(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// ending is how a Korean word ends; two of one class say the same.
type ending struct{ text, class, stem string }

// endings of sentences; what remains of the verb is stem. Longer ones stand
// before those that they end with.
var endings = []ending{
	{"인가요", "be", ""}, {"인지요", "be", ""}, {"입니까", "be", ""}, {"이에요", "be", ""}, {"예요", "be", ""}, {"에요", "be", ""}, {"이죠", "be", ""}, {"인가", "be", ""},
	{"있나요", "end", "있"}, {"있습니까", "end", "있"}, {"있어요", "end", "있"}, {"있을까요", "end", "있"}, {"있는지요", "end", "있"}, {"있는지", "end", "있"},
	{"없나요", "end", "없"}, {"없습니까", "end", "없"}, {"없어요", "end", "없"}, {"없을까요", "end", "없"},
	{"되나요", "end", "되"}, {"됩니까", "end", "되"}, {"돼요", "end", "되"}, {"되요", "end", "되"}, {"될까요", "end", "되"}, {"되는지요", "end", "되"}, {"되죠", "end", "되"},
	{"한가요", "end", "하"}, {"하나요", "end", "하"}, {"합니까", "end", "하"}, {"해요", "end", "하"}, {"할까요", "end", "하"}, {"하죠", "end", "하"},
	{"요", "end", ""},
}

// particles of nouns, the longer first.
var particles = []ending{
	{"에서는", "at", ""}, {"에서", "at", ""}, {"에는", "at", ""}, {"에게", "to", ""}, {"한테", "to", ""}, {"께서", "subject", ""}, {"께", "to", ""},
	{"으로", "by", ""}, {"로", "by", ""}, {"까지", "until", ""}, {"부터", "from", ""}, {"이랑", "with", ""}, {"랑", "with", ""}, {"하고", "with", ""},
	{"은", "subject", ""}, {"는", "subject", ""}, {"이", "subject", ""}, {"가", "subject", ""}, {"을", "object", ""}, {"를", "object", ""},
	{"의", "of", ""}, {"에", "at", ""}, {"와", "with", ""}, {"과", "with", ""}, {"도", "too", ""}, {"만", "only", ""},
}

// splitParticle takes the ending, or else the particle, off a Korean word. A
// particle goes only if two syllables are left.
func splitParticle(s string) (stem, class string) {
	last, _ := utf8.DecodeLastRuneInString(s)
	if !unicode.Is(unicode.Hangul, last) {
		return s, ""
	}
	for _, e := range endings {
		if rest, ok := strings.CutSuffix(s, e.text); ok && rest+e.stem != "" {
			return rest + e.stem, e.class
		}
	}
	for _, p := range particles {
		if rest, ok := strings.CutSuffix(s, p.text); ok && utf8.RuneCountInString(rest) >= 2 {
			return rest, p.class
		}
	}
	return s, ""
}

// stemOfEnding takes off the ending of a sentence, but no particle.
func stemOfEnding(s string) string {
	for _, e := range endings {
		if rest, ok := strings.CutSuffix(s, e.text); ok && rest+e.stem != "" {
			return rest + e.stem
		}
	}
	return s
}
