package pii

import (
	"embed"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed data/*.txt
var data embed.FS

// kind is a set of meanings of a word of the lexicon.
type kind uint64

// The kinds, one bit each, in the names that data/labels.txt uses.
const (
	kRRN kind = 1 << iota
	kFRN
	kBRN
	kCRN
	kPassport
	kDriver
	kPhone
	kEmail
	kCard
	kBank
	kBankName
	kInsurance
	kPlate
	kCase
	kRecord
	kLicense
	kSSN
	kIBAN
	kIP
	kDOB
	kDate
	kNotID
	kMAC
	kSecret
	kAdmin
	kVersion
	kAddress
	kProvince
	kDistrict
	kName
	kRole
	kTitle
	kGreeting
	kAdvocate // professions that are registered
	kFax
	kPostcode
	kDocument
	kVIN
	kAge
	kEducation
	kPosition
	kNationality
	kNumber // a number of anything
)

// kindNames are the section names of data/labels.txt.
var kindNames = map[string]kind{
	"RRN": kRRN, "FRN": kFRN, "BRN": kBRN, "CRN": kCRN, "PASSPORT": kPassport,
	"DRIVER": kDriver, "PHONE": kPhone, "EMAIL": kEmail, "CARD": kCard, "BANK": kBank,
	"BANKNAME": kBankName, "INSURANCE": kInsurance, "PLATE": kPlate, "CASE": kCase,
	"RECORD": kRecord, "LICENSE": kLicense, "SSN": kSSN, "IBAN": kIBAN, "IP": kIP,
	"DOB": kDOB, "DATE": kDate, "NOTID": kNotID,
	"MAC": kMAC, "SECRET": kSecret, "ADMIN": kAdmin, "VERSION": kVersion, "ADDRESS": kAddress,
	"NAME": kName, "ROLE": kRole, "TITLE": kTitle, "GREETING": kGreeting, "ADVOCATE": kAdvocate,
	"FAX": kFax, "POSTCODE": kPostcode, "DOCUMENT": kDocument, "VIN": kVIN, "AGE": kAge,
	"EDUCATION": kEducation, "POSITION": kPosition, "NATIONALITY": kNationality, "NUMBER": kNumber,
}

// lexicon returns the words that all texts are scanned for.
var lexicon = sync.OnceValue(func() *automatonOfWords {
	words, spaced := make(map[string]kind), make(map[string]kind)
	for _, line := range dataLines("labels.txt") {
		name, list, ok := strings.Cut(line, ":")
		k, known := kindNames[name]
		if !ok || !known {
			panic(fmt.Sprintf("store/pii: labels.txt: a line begins with %q, want a kind and a colon", name))
		}
		for w := range strings.SplitSeq(list, "|") {
			if w = strings.TrimSpace(w); w == "" {
				continue
			}
			words[w] |= k
			// "dateOfBirth": the keys of programs have no blanks.
			if j := strings.ReplaceAll(w, " ", ""); len(j) > 5 && len(j) < len(w) && w[0] < utf8.RuneSelf {
				words[j] |= k
			}
		}
	}
	for w := range places().provinces {
		words[w] |= kProvince
	}
	for w := range places().districts {
		words[w] |= kDistrict
	}
	for w, k := range words {
		if r := []rune(w); len(r) >= 2 && len(r) <= 4 && k&spacedKinds != 0 && classOf(r[0]) == cHangul {
			spaced[w] = k
		}
	}
	a := newAutomaton(words)
	a.symbol['\n'] = a.symbol[' '] // "등록\n번호", in a narrow field of a form
	return &automatonOfWords{a, spaced}
})

// dataLines returns the lines of an embedded file without comments and empty lines.
func dataLines(name string) []string {
	raw, err := data.ReadFile("data/" + name)
	if err != nil {
		panic(err) // the file is part of the program
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

type automatonOfWords struct {
	*automaton
	spaced map[string]kind // labels that forms write with blanks: "성    명"
}

// kLabels are the kinds of which a value may follow.
const kLabels = kRRN | kFRN | kBRN | kCRN | kPassport | kDriver | kPhone | kEmail | kCard | kBank | kBankName | kInsurance |
	kPlate | kCase | kRecord | kLicense | kSSN | kIBAN | kIP | kDOB | kDate | kNotID | kMAC | kSecret | kAdmin | kVersion |
	kAddress | kName | kRole | kFax | kPostcode | kDocument | kVIN | kAge | kEducation | kPosition | kNationality | kNumber

// spacedKinds are the labels that forms stretch with blanks.
const spacedKinds = kName | kRole | kAddress | kDOB | kPhone | kRRN | kRecord | kLicense | kInsurance | kDocument | kPassport

// scan fills d.hits: words of the lexicon, the longest where one lies inside
// another. A word that begins or ends with a Latin letter must not have another
// beside it, so that "public" does not count as "lic".
func (a automatonOfWords) scan(d *doc) {
	state := int32(0)
	for i, r := range d.r {
		state = a.next(state, r)
		if a.states[state].out == 0 {
			continue
		}
		o := a.ends(state)
		start, end := i+1-int(o.length), i+1
		if !d.latinBorder(start) || !d.latinBorder(end) {
			continue
		}
		for len(d.hits) > 0 && int(d.hits[len(d.hits)-1].start) >= start {
			d.hits = d.hits[:len(d.hits)-1]
		}
		d.hits = append(d.hits, hit{int32(start), int32(end), o.kind})
	}
	a.scanSpaced(d)
	d.indexHits()
}

// latinBorder says whether a word can begin or end before r[p]: not between
// Latin letters, but where a capital follows a small one, as in "patientName".
func (d *doc) latinBorder(p int) bool {
	a, b := d.class(p-1), d.class(p)
	return !a.latin() || !b.latin() || a == cLower && b == cUpper
}

// scanSpaced adds labels whose syllables stand apart: "원    고".
func (a automatonOfWords) scanSpaced(d *doc) {
	var extra []hit
	for i := 0; i+1 < len(d.words); i++ {
		if d.words[i].end-d.words[i].start != 1 || !d.words[i].hangul {
			continue
		}
		n := i + 1
		for n < len(d.words) && n < i+4 && d.words[n].hangul && d.words[n].end-d.words[n].start == 1 && d.blanksOnly(d.words[n-1].end, d.words[n].start) {
			n++
		}
		for ; n > i+1; n-- {
			label := make([]rune, 0, 4)
			for _, w := range d.words[i:n] {
				label = append(label, d.r[w.start])
			}
			if k := a.spaced[string(label)]; k != 0 {
				extra = append(extra, hit{d.words[i].start, d.words[n-1].end, k})
				i = n - 1
				break
			}
		}
	}
	if len(extra) > 0 {
		d.hits = mergeHits(d.hits, extra)
	}
	a.scanBroken(d)
}

// scanBroken adds labels before a colon that a scanner broke by a blank at a
// wrong place: "생 년월일 :", "등록번 호:".
func (a automatonOfWords) scanBroken(d *doc) {
	var extra []hit
	for _, m := range d.marks {
		if d.r[m] != ':' {
			continue
		}
		end := d.blanksBefore(int(m))
		start, blanks := end, 0
		for start > 0 && end-start < 12 && (d.cls[start-1] == cHangul || d.cls[start-1] == cSpace && d.class(start-2) == cHangul) {
			start--
			if d.cls[start] == cSpace {
				blanks++
			}
		}
		d.steps += end - start
		if blanks == 0 || blanks > 3 {
			continue
		}
		label := make([]rune, 0, 12)
		for _, r := range d.r[start:end] {
			if r != ' ' {
				label = append(label, r)
			}
		}
		if k := a.whole(label); k != 0 && (len(extra) == 0 || extra[len(extra)-1].end <= int32(start)) {
			extra = append(extra, hit{int32(start), int32(end), k})
		}
	}
	if len(extra) > 0 {
		d.hits = mergeHits(d.hits, extra)
	}
}

// whole returns the kinds of the word r, or 0 if it is none.
func (a automatonOfWords) whole(r []rune) kind {
	state := int32(0)
	for _, c := range r {
		if state = a.next(state, c); state == 0 {
			return 0
		}
	}
	if o := a.ends(state); int(o.length) == len(r) {
		return o.kind
	}
	return 0
}

// mergeHits joins two lists in order; what lies inside a hit of b is dropped.
func mergeHits(a, b []hit) []hit {
	out := make([]hit, 0, len(a)+len(b))
	for _, h := range b {
		for len(a) > 0 && a[0].end <= h.start {
			out, a = append(out, a[0]), a[1:]
		}
		for len(a) > 0 && a[0].start < h.end {
			a = a[1:]
		}
		out = append(out, h)
	}
	return append(out, a...)
}
