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
func Group(question string) string {
	sum := sha256.Sum256([]byte(key(words(question))))
	return hex.EncodeToString(sum[:12])
}

// word is a word of a text in normal form.
type word struct {
	stem     string // lower case, without particle
	particle string // class of the Korean particle that was taken off, or ""
	proper   bool   // a capital letter inside a sentence: a name
	number   bool   // holds a digit
}

// words splits a text into words in normal form, without fillers unless there
// is nothing else.
func words(s string) []word {
	s = norm.NFKC.String(s)
	var out, fillerWords []word
	start := true // of a sentence
	for len(s) > 0 {
		i := strings.IndexFunc(s, wordRune)
		if i < 0 {
			break
		}
		if strings.ContainsAny(s[:i], ".!?\n:") {
			start = true
		}
		s = s[i:]
		end := wordEnd(s)
		w := normalWord(s[:end], start)
		s, start = s[end:], false
		if fillers[w.stem] {
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
	s = strings.NewReplacer("'", "", "’", "").Replace(strings.ToLower(s))
	w.stem, w.particle = splitParticle(s)
	return w
}

// key joins the stems. White space is not part of it, as Korean sets it freely;
// only numbers stay apart.
func key(ws []word) string {
	var b strings.Builder
	for i, w := range ws {
		if i > 0 && w.number && ws[i-1].number {
			b.WriteByte(' ')
		}
		b.WriteString(w.stem)
	}
	return b.String()
}

// fillers are words that carry no question: greetings, politeness, articles.
var fillers = wordSet(`hi hello hey dear please pls thanks thank kindly um uh just so the a an
	안녕하세요 안녕하십니까 혹시 저기 저기요 좀 감사합니다 고맙습니다 수고하세요 수고하십니다 문의드립니다 여쭤봅니다 질문드립니다`)

func wordSet(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// particle is a Korean particle or ending; two of one class say the same.
type particle struct{ text, class, stem string }

// particles, longer ones before those that they end with. Only the last one of
// a word is taken, and only if a stem of two syllables is left (of one for the
// endings of verbs, which leave a stem of their own).
var particles = []particle{
	{"인가요", "be", ""}, {"인지요", "be", ""}, {"입니까", "be", ""}, {"이에요", "be", ""}, {"예요", "be", ""}, {"에요", "be", ""}, {"이죠", "be", ""}, {"인가", "be", ""},
	{"있나요", "end", "있"}, {"있습니까", "end", "있"}, {"있어요", "end", "있"}, {"있을까요", "end", "있"}, {"있는지요", "end", "있"}, {"있는지", "end", "있"},
	{"없나요", "end", "없"}, {"없습니까", "end", "없"}, {"없어요", "end", "없"}, {"없을까요", "end", "없"},
	{"되나요", "end", "되"}, {"됩니까", "end", "되"}, {"돼요", "end", "되"}, {"되요", "end", "되"}, {"될까요", "end", "되"}, {"되는지요", "end", "되"}, {"되죠", "end", "되"},
	{"한가요", "end", "하"}, {"하나요", "end", "하"}, {"합니까", "end", "하"}, {"해요", "end", "하"}, {"할까요", "end", "하"}, {"하죠", "end", "하"},
	{"에서는", "at", ""}, {"에서", "at", ""}, {"에는", "at", ""}, {"에게", "to", ""}, {"한테", "to", ""}, {"께서", "subject", ""}, {"께", "to", ""},
	{"으로", "by", ""}, {"로", "by", ""}, {"까지", "until", ""}, {"부터", "from", ""}, {"이랑", "with", ""}, {"랑", "with", ""}, {"하고", "with", ""},
	{"은", "subject", ""}, {"는", "subject", ""}, {"이", "subject", ""}, {"가", "subject", ""}, {"을", "object", ""}, {"를", "object", ""},
	{"의", "of", ""}, {"에", "at", ""}, {"와", "with", ""}, {"과", "with", ""}, {"도", "too", ""}, {"만", "only", ""}, {"요", "end", ""},
}

// splitParticle takes the particle off a Korean word.
func splitParticle(s string) (stem, class string) {
	last, _ := utf8.DecodeLastRuneInString(s)
	if !unicode.Is(unicode.Hangul, last) {
		return s, ""
	}
	for _, p := range particles {
		rest, ok := strings.CutSuffix(s, p.text)
		if !ok {
			continue
		}
		if p.stem != "" {
			return rest + p.stem, p.class
		}
		if utf8.RuneCountInString(rest) >= 2 {
			return rest, p.class
		}
	}
	return s, ""
}
