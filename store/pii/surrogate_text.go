package pii

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// makePhone makes a Korean number whose exchange begins with 0, which cannot be
// dialled within an area and so is none, or a North American one from 555-0100
// to 555-0199, which are kept for fiction.
func makePhone(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	national, n, ok := koreanExchange(value, digits)
	if ok {
		random(r, digits[national+n:])
		digits[national+n] = 0
		return fill(value, digits)
	}
	if at := len(digits) - 10; at == 0 || at == 1 && digits[0] == 1 {
		copy(digits[at+3:], []int{5, 5, 5, 0, 1, r.IntN(10), r.IntN(10)})
		for i := at; i < at+3; i++ {
			digits[i] = 2 + r.IntN(8)
		}
		return fill(value, digits)
	}
	return "", false
}

// koreanExchange returns where the national number begins in the digits of a
// telephone number, and the length of its prefix there. The nationwide numbers
// of companies have no exchange.
func koreanExchange(value string, digits []int) (national, prefix int, ok bool) {
	local := digits
	if strings.ContainsAny(value, "+＋") {
		if len(digits) < 10 || digits[0] != 8 || digits[1] != 2 {
			return 0, 0, false
		}
		if national = 2; digits[2] == 0 { // +82 (0)10
			national = 3
		}
		local = append([]int{0}, digits[national:]...)
	}
	n, why := koreanPrefix(local)
	if n == 0 || why == whyService || len(local) < 9 || len(local) > 12 {
		return 0, 0, false
	}
	return national, n - (len(local) - len(digits[national:])), true
}

func reservedPhone(value string) bool {
	digits := digitsIn(value)
	if national, n, ok := koreanExchange(value, digits); ok {
		return digits[national+n] == 0
	}
	at := len(digits) - 10
	return (at == 0 || at == 1 && digits[0] == 1) && slices.Equal(digits[at+3:at+8], []int{5, 5, 5, 0, 1})
}

// word36 returns n letters and digits, a letter first.
func word36(r *rand.Rand, n int) string {
	const set = "abcdefghijkmnpqrstuvwxyz23456789"
	b := []byte{set[r.IntN(24)]}
	for len(b) < n {
		b = append(b, set[r.IntN(len(set))])
	}
	return string(b)
}

// Domains that nobody has: RFC 2606.
func makeEmail(r *rand.Rand, _ string) (string, bool) { return word36(r, 8) + "@example.com", true }

func reservedEmail(value string) bool {
	i := strings.LastIndexByte(value, '@')
	return i >= 0 && reservedHost(value[i+1:])
}

func makeURL(r *rand.Rand, value string) (string, bool) {
	scheme := ""
	if i := strings.Index(value, "://"); i >= 0 {
		scheme = value[:i+3]
	} else if strings.HasPrefix(strings.ToLower(value), "www.") {
		scheme = "www."
	}
	return scheme + "example.com/" + word36(r, 8), true
}

func reservedURL(value string) bool {
	if i := strings.Index(value, "://"); i >= 0 {
		value = value[i+3:]
	}
	host, _, _ := strings.Cut(value, "/")
	return reservedHost(host)
}

func reservedHost(host string) bool {
	host = "." + strings.ToLower(host)
	return slices.ContainsFunc([]string{".example.com", ".example.net", ".example.org", ".example", ".test", ".invalid"}, func(s string) bool {
		return strings.HasSuffix(host, s)
	})
}

// seldomSurnames are surnames that few people have, so that a made-up name is
// hardly anybody's. seldomCompound are those of two syllables.
var (
	seldomSurnames = []rune("위표명반금옥맹탁국편용예봉복태목빈온범좌팽승간갈")
	seldomCompound = []string{"황보", "제갈", "선우", "독고", "사공", "서문", "동방"}
)

// givenNames are the given names of two syllables, and latinNames first and last names.
var givenNames = sync.OnceValue(func() (list []string) {
	for _, line := range dataLines("given_kr.txt") {
		for g := range strings.FieldsSeq(line) {
			if len([]rune(g)) == 2 {
				list = append(list, g)
			}
		}
	}
	return list
})

var latinNames = sync.OnceValue(func() (names [2][]string) {
	for _, line := range dataLines("names_latin.txt") {
		which, list, _ := strings.Cut(line, ":")
		to := &names[0]
		if which == "last" {
			to = &names[1]
		}
		for w := range strings.FieldsSeq(list) {
			if len(w) > 3 && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") == "" && props([]rune(w))&latinCommon == 0 {
				*to = append(*to, w)
			}
		}
	}
	return names
})

// makePerson makes a name: in Korean letters as many as there were, in Latin
// letters one word or two.
func makePerson(r *rand.Rand, value string) (string, bool) {
	korean, latin := 0, 0
	for _, c := range value {
		switch {
		case c >= hangulBase && c < hangulBase+hangulCount:
			korean++
		case c < 0x250 && unicode.IsLetter(c):
			latin++
		case unicode.IsLetter(c):
			return "", false
		}
	}
	switch {
	case latin == 0 && korean >= 2 && korean <= 4:
		return fillHangul(value, madeName(r, korean))
	case korean == 0 && latin > 1:
		return makeLatinName(r, value), true
	}
	return "", false
}

func madeName(r *rand.Rand, n int) string {
	given := givenNames()[r.IntN(len(givenNames()))]
	switch n {
	case 2:
		return string(seldomSurnames[r.IntN(len(seldomSurnames))]) + string([]rune(given)[r.IntN(2)])
	case 3:
		return string(seldomSurnames[r.IntN(len(seldomSurnames))]) + given
	}
	return seldomCompound[r.IntN(len(seldomCompound))] + given
}

// fillHangul writes the letters of name in the place of those of value.
func fillHangul(value, name string) (string, bool) {
	letters := []rune(name)
	return strings.Map(func(c rune) rune {
		if c >= hangulBase && c < hangulBase+hangulCount {
			c, letters = letters[0], letters[1:]
		}
		return c
	}, value), true
}

func makeLatinName(r *rand.Rand, value string) string {
	names := latinNames()
	out := capital(names[1][r.IntN(len(names[1]))])
	if strings.ContainsAny(value, " \t\u00a0") {
		out = capital(names[0][r.IntN(len(names[0]))]) + " " + out
	}
	switch value {
	case strings.ToUpper(value):
		return strings.ToUpper(out)
	case strings.ToLower(value):
		return strings.ToLower(out)
	}
	return out
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// districts are the provinces, by their usual names, each with its districts.
var districts = sync.OnceValue(func() (list []string) {
	for _, line := range dataLines("districts.txt") {
		names, all, _ := strings.Cut(line, ":")
		name, _, _ := strings.Cut(names, "|")
		for d := range strings.FieldsSeq(all) {
			if !strings.ContainsAny(d, "()") {
				list = append(list, name+" "+d)
			}
		}
	}
	return list
})

// roads are names of roads that we made up.
var roads = []string{"보기말로", "본보기길", "가온누빛로", "예시꽃길", "없는솔길", "지은이름로"}

// makeAddress makes an address in a district drawn by chance, in a road that does
// not exist.
func makeAddress(r *rand.Rand, value string) (string, bool) {
	if hasHangul(value) {
		return fmt.Sprintf("%s %s %d", districts()[r.IntN(len(districts()))], roads[r.IntN(len(roads))], 1+r.IntN(999)), true
	}
	return fmt.Sprintf("%d %s", 1+r.IntN(9999), sampleStreet), true
}

const sampleStreet = "Example Street, Sampleton"

func reservedAddress(value string) bool {
	return strings.HasSuffix(value, sampleStreet) || slices.ContainsFunc(strings.Fields(value), func(w string) bool { return slices.Contains(roads, w) })
}

func hasHangul(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c >= hangulBase && c < hangulBase+hangulCount })
}
