package risk

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cloister/store/pii"
)

var (
	//go:embed data/conditions.txt
	conditions string
	//go:embed data/jobs.txt
	jobs string
)

// Finder finds the quasi-identifiers of records. It is safe for concurrent use.
type Finder struct {
	mask     *pii.Masker
	diseases *wordList
	jobs     *wordList
}

// found are the entities of package pii that are quasi-identifiers.
var found = map[string]Kind{
	pii.Age: Age, pii.OldAge: Age, pii.Date: Date, pii.DateOfBirth: Date,
	pii.Education: Education, pii.Position: Position, pii.Nationality: Nationality,
}

// NewFinder returns a Finder.
func NewFinder() (*Finder, error) {
	o := pii.Options{Mode: pii.ModeLabel}
	for entity := range found {
		o.Entities = append(o.Entities, entity)
	}
	m, err := pii.New(nil, o)
	return &Finder{mask: m, diseases: newWordList(conditions), jobs: newWordList(jobs)}, err
}

// Find returns the quasi-identifiers of a record, whose texts are masked. Of a
// kind that a record names several times, such as two dates, all values count.
func (f *Finder) Find(texts []string) map[Kind][]string {
	v := values{}
	for _, text := range texts {
		for _, hit := range f.mask.Find(text) {
			kind, value := found[hit.Entity], text[hit.Start:hit.End]
			switch kind {
			case Age:
				v.add(Age, ageLevels(value)...)
			case Date:
				v.add(Date, dateLevels(value)...)
			default:
				v.add(kind, fold(value))
			}
		}
		for district, province := range pii.Districts(text) {
			v.add(District, district, province)
		}
		for _, sex := range sexes {
			if sex.words.MatchString(text) {
				v.add(Sex, sex.name)
			}
		}
		for _, name := range f.diseases.in(text) {
			v.add(Disease, name)
		}
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			v.add(Disease, strings.ToUpper(m[1]+m[2]))
		}
		for _, m := range jobContext.FindAllStringSubmatch(text, -1) {
			for _, part := range m[1:] {
				for _, name := range f.jobs.in(part) {
					v.add(Job, name)
				}
			}
		}
	}
	return v.levels()
}

// values gathers what a record names, by kind: lists of levels.
type values map[Kind][][]string

func (v values) add(kind Kind, levels ...string) { v[kind] = append(v[kind], levels) }

// levels joins the values of each kind, level by level, each once.
func (v values) levels() map[Kind][]string {
	out := map[Kind][]string{}
	for kind, list := range v {
		for level := range list[0] {
			var parts []string
			for _, l := range list {
				parts = append(parts, l[min(level, len(l)-1)])
			}
			slices.Sort(parts)
			out[kind] = append(out[kind], strings.Join(slices.Compact(parts), ","))
		}
	}
	return out
}

var digits = regexp.MustCompile(`\d+`)

// ageLevels is an age as it is and by ten years. One in words stays as it is.
func ageLevels(text string) []string {
	n, err := strconv.Atoi(digits.FindString(text))
	if err != nil {
		return []string{fold(text), fold(text)}
	}
	tens := fmt.Sprintf("%d-%d", n/10*10, n/10*10+9)
	if n >= 90 {
		tens = "90+"
	}
	if strings.Contains(text, "대") || strings.HasSuffix(strings.TrimSpace(text), "s") { // 40대, in her 40s
		return []string{tens, tens}
	}
	return []string{strconv.Itoa(n), tens}
}

// dateLevels is the month of a date, and its year. One without a year of four
// digits stays as it is.
func dateLevels(text string) []string {
	parts := digits.FindAllString(text, -1)
	for i, p := range parts {
		switch {
		case len(p) == 8:
			return []string{p[:4] + "-" + p[4:6], p[:4]}
		case len(p) != 4:
		case i+1 < len(parts) && len(parts[i+1]) <= 2: // 2026-05-05
			return []string{fmt.Sprintf("%s-%02s", p, parts[i+1]), p}
		default: // 5 May 2026, 05/05/2026
			month := strings.TrimFunc(fold(text), unicode.IsDigit)
			if month == "" && i > 0 {
				month = parts[0]
			}
			return []string{p + "-" + month, p}
		}
	}
	return []string{fold(text), fold(text)}
}

// sexes are the words for them. 남 and 여 alone say a sex only beside an age or
// a label.
var sexes = []struct {
	name  string
	words *regexp.Regexp
}{
	{"male", regexp.MustCompile(`(?i)(?:^|\P{Hangul})(?:남성|남자|남아)(?:$|\P{Hangul}|[은는이가을를의도만과와로]|환자|입니다)|\b(?:male|man|boy|gentleman)\b|(?:성별|sex|gender)\s*[:：=]?\s*(?:남|m)\b|(?:성별)\s*[:：=]?\s*남|\d\s*(?:세|살)?\s*[/,(]?\s*(?:남(?:$|\P{Hangul})|M\b)|(?:(?:^|\P{Hangul})남|\bM)\s*[/,(]\s*\d{1,3}\b`)},
	{"female", regexp.MustCompile(`(?i)(?:^|\P{Hangul})(?:여성|여자|여아)(?:$|\P{Hangul}|[은는이가을를의도만과와로]|환자|입니다)|\b(?:female|woman|girl|lady)\b|(?:성별|sex|gender)\s*[:：=]?\s*(?:여|f)\b|(?:성별)\s*[:：=]?\s*여|\d\s*(?:세|살)?\s*[/,(]?\s*(?:여(?:$|\P{Hangul})|F\b)|(?:(?:^|\P{Hangul})여|\bF)\s*[/,(]\s*\d{1,3}\b`)},
}

// code is a code of ICD-10 or KCD with a point inside, or with a label before
// it: a bare B17 is a room as well.
var code = regexp.MustCompile(`(?i)\b([A-TV-Z]\d\d\.\d{1,2})\b|(?:KCD|ICD(?:-10)?|상병(?:코드|명)?|질병(?:코드|분류)?|진단(?:명|코드)?|diagnosis|dx)[^\n\d]{0,12}\b([A-TV-Z]\d\d(?:\.\d{1,2})?)\b`)

// jobContext is what people say around their job.
var jobContext = regexp.MustCompile(`(?i)(?:직업(?:은|이)?|occupation|profession|job)\s*[:：=]?\s*(?:is\s+)?([^\n,.;]{1,40})|(?:works?|working|worked|employed) as (?:an? )?([^\n,.;]{1,30})|\bI(?:'m| am) (?:an? )([^\n,.;]{1,30})|(\S{2,12})(?:으로|로) (?:일|근무|재직)`)

// wordList finds the words of a list by their entry.
type wordList struct {
	entry map[string]string // folded word → first word of its line
	words *regexp.Regexp
}

func newWordList(data string) *wordList {
	l := &wordList{entry: map[string]string{}}
	var all []string
	for line := range strings.Lines(data) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		names := strings.Split(line, "|")
		for _, n := range names {
			l.entry[fold(n)] = names[0]
			all = append(all, regexp.QuoteMeta(n))
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // the longest first
	l.words = regexp.MustCompile(`(?i)` + strings.Join(all, "|"))
	return l
}

// in returns the entries that a text names. A word in Hangul begins a word of
// the text, one in Latin letters is a whole word.
func (l *wordList) in(text string) (list []string) {
	for _, at := range l.words.FindAllStringIndex(text, -1) {
		word := text[at[0]:at[1]]
		before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
		after, _ := utf8.DecodeRuneInString(text[at[1]:])
		first, _ := utf8.DecodeRuneInString(word)
		if unicode.IsLetter(before) && (first < utf8.RuneSelf) == (before < utf8.RuneSelf) || first < utf8.RuneSelf && after < utf8.RuneSelf && (unicode.IsLetter(after) || unicode.IsDigit(after)) {
			continue
		}
		list = append(list, l.entry[fold(word)])
	}
	return list
}

// fold is a text in lower case without blanks.
func fold(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), "")) }
