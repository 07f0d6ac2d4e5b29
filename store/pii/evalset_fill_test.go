package pii_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// draw is a source of invented values, the same in every run.
type draw struct {
	*rand.Rand
	values
	people map[string]person
	banks  map[string][2]string
}

func newDraw(v values, seed string) *draw {
	h := fnv.New64a()
	h.Write([]byte(seed))
	return &draw{rand.New(rand.NewPCG(h.Sum64(), 5)), v, map[string]person{}, map[string][2]string{}}
}

func (d *draw) pick(list []string) string { return list[d.IntN(len(list))] }

func (d *draw) place() place { return d.places[d.IntN(len(d.places))] }

// person returns the n-th person of a text.
func (d *draw) person(n string) person {
	p, ok := d.people[n]
	if !ok {
		p = newPerson(d)
		d.people[n] = p
	}
	return p
}

// bank returns the n-th bank of a text: its name and the shape of its numbers.
func (d *draw) bank(n string) [2]string {
	b, ok := d.banks[n]
	if !ok {
		b = banks[d.IntN(len(banks))]
		d.banks[n] = b
	}
	return b
}

// slot is what may stand in a template as {name1}: the number tells values of
// one kind apart, and the same slot has the same value all over a text. All
// slots of persons with one number are one person, and {bank1} is where
// {account1} is kept.
type slot struct {
	entity string // "" for what is not personal, "marked" where fill marks it itself
	fill   func(d *draw, n string) string
}

func personSlot(f func(person) string) slot {
	return slot{"PERSON", func(d *draw, n string) string { return f(d.person(n)) }}
}

func valueSlot(entity string, f func(*draw) string) slot {
	return slot{entity, func(d *draw, _ string) string { return f(d) }}
}

func shapeSlot(entity, shape string) slot {
	return valueSlot(entity, func(d *draw) string { return shaped(d, shape) })
}

func wordSlot(list ...string) slot {
	return valueSlot("", func(d *draw) string { return d.pick(list) })
}

// daySlot gives a date in one of the forms.
func daySlot(entity string, from, years int, forms ...func(day) string) slot {
	return valueSlot(entity, func(d *draw) string { return forms[d.IntN(len(forms))](newDay(d, from, years)) })
}

var slots = map[string]slot{
	"name": personSlot(person.name), "given": personSlot(func(p person) string { return p.given }),
	"spaced": personSlot(person.spaced), "hanja": personSlot(person.hanja),
	"roman": personSlot(person.roman), "romancaps": personSlot(person.romanCapitals),
	"romansur": personSlot(person.romanSurname), "romangiv": personSlot(person.romanGiven),
	"viet": personSlot(func(p person) string { return p.foreign }), "kviet": personSlot(func(p person) string { return p.kviet }),
	"en": personSlot(func(p person) string { return p.english }), "enfirst": personSlot(func(p person) string { return p.englishFirst }),
	"enlast": personSlot(func(p person) string { return p.englishEnd }),
	"eninv":  personSlot(func(p person) string { return p.englishEnd + ", " + p.englishFirst }),

	"mobile": valueSlot("PHONE", mobile), "mobilebare": shapeSlot("PHONE", "01099999999"),
	"tel": valueSlot("PHONE", landline), "line": shapeSlot("PHONE", "031-299-9999"), "fax": valueSlot("FAX", landline), "usphone": valueSlot("PHONE", usPhone),
	"rep": valueSlot("PHONE", func(d *draw) string { return d.pick(strings.Fields("1588 1577 1644 1899 1600")) + "-" + digits(d, 4) }),
	"intl": valueSlot("PHONE", func(d *draw) string {
		return shaped(d, d.pick([]string{"+82-2-599-9999", "+82 10 4999 9999", "+82-10-2999-9999"}))
	}),
	"email": valueSlot("EMAIL", email),
	"url":   valueSlot("URL", func(d *draw) string { return "https://blog.example.kr/post/" + digits(d, 5) }),

	"addr": valueSlot("ADDRESS", roadAddress), "jibun": valueSlot("ADDRESS", lotAddress), "short": valueSlot("ADDRESS", shortAddress),
	"rural": valueSlot("ADDRESS", ruralAddress), "post": valueSlot("POSTCODE", postcode),
	"enaddr": valueSlot("marked", englishAddress), "romaddr": valueSlot("marked", romanAddress),

	"date":  daySlot("DATE", 2015, 10, day.dashed, day.dotted, day.legal, day.korean),
	"dated": daySlot("DATE", 2015, 10, day.dashed), "datedot": daySlot("DATE", 2015, 10, day.dotted),
	"datel": daySlot("DATE", 2015, 10, day.legal), "datek": daySlot("DATE", 2015, 10, day.korean),
	"usdate": daySlot("DATE", 2015, 10, day.us), "endate": daySlot("DATE", 2015, 10, day.english, day.british),
	"dob":  daySlot("DATE_OF_BIRTH", 1938, 75, day.dashed, day.dotted, day.legal, day.korean, day.short),
	"dobd": daySlot("DATE_OF_BIRTH", 1938, 75, day.dashed), "dobl": daySlot("DATE_OF_BIRTH", 1938, 75, day.legal),
	"dobk": daySlot("DATE_OF_BIRTH", 1938, 75, day.korean), "dobs": daySlot("DATE_OF_BIRTH", 1938, 62, day.short),
	"dobnum": daySlot("DATE_OF_BIRTH", 1938, 75, day.joined),
	"endob":  daySlot("DATE_OF_BIRTH", 1938, 75, day.us, day.english, day.british, day.dashed),

	"rrn":      valueSlot("KR_RRN", func(d *draw) string { return dashed(d, resident(d, 1)) }),
	"rrnmask":  valueSlot("KR_RRN", func(d *draw) string { s := resident(d, 1); return s[:6] + "-" + s[6:7] + "******" }),
	"rrnstar":  valueSlot("KR_RRN", func(d *draw) string { return resident(d, 1)[:6] + "-*******" }),
	"frn":      valueSlot("KR_FRN", func(d *draw) string { return dashed(d, resident(d, 5)) }),
	"brn":      valueSlot("KR_BRN", businessNumber),
	"crn":      valueSlot("KR_CRN", corporateNumber),
	"passport": valueSlot("KR_PASSPORT", passport), "driver": valueSlot("KR_DRIVER_LICENSE", driverLicence),
	"health": valueSlot("KR_HEALTH_INSURANCE", healthInsurance), "plate": valueSlot("KR_VEHICLE_PLATE", plate),
	"case": valueSlot("KR_COURT_CASE", courtCase), "mrn": valueSlot("MEDICAL_RECORD_NO", recordNumber),
	"lic":  valueSlot("LICENSE_NO", func(d *draw) string { return shaped(d, d.pick([]string{"19999", "49999", "109999"})) }),
	"card": valueSlot("CREDIT_CARD", card), "iban": valueSlot("IBAN", iban), "ssn": valueSlot("US_SSN", socialSecurity),
	"vin": valueSlot("VIN", vin),
	"sid": valueSlot("DOC_ID", func(d *draw) string { return shaped(d, d.pick([]string{"20219999", "2022219999", "10249999"})) }),
	"docid": valueSlot("DOC_ID", func(d *draw) string {
		return shaped(d, d.pick([]string{"2024-099999", "1AA-2406-0999999", "2023-1999"}))
	}),
	"docno": valueSlot("DOC_ID", func(d *draw) string {
		return d.pick([]string{"건축과", "총무과", "복지정책과", "도시계획과"}) + "-" + fmt.Sprint(100+d.IntN(9800))
	}),
	"ip": valueSlot("IP_ADDRESS", func(d *draw) string {
		return fmt.Sprintf("%s.%d.%d", d.pick([]string{"10.20", "192.168", "172.16", "211.48", "175.112"}), d.IntN(256), 1+d.IntN(254))
	}),
	"ipsix": valueSlot("IP_ADDRESS", func(d *draw) string { return fmt.Sprintf("2001:db8:%x::%x", d.IntN(65536), 1+d.IntN(65535)) }),
	"mac": valueSlot("MAC_ADDRESS", func(d *draw) string {
		return fmt.Sprintf("00:1B:44:%02X:%02X:%02X", d.IntN(256), d.IntN(256), d.IntN(256))
	}),
	"password": valueSlot("SECRET", func(d *draw) string {
		return d.pick(strings.Fields("sunny hill Tq7mL vKlw Maple rain8")) + digits(d, 3) + d.pick([]string{"!", "#", "-", "@"}) + d.pick(strings.Fields("xY pZ kk Qe ab"))
	}),
	"token": shapeSlot("SECRET", "ghp_9aB9cD9eF9gH9iJ9kL9mN9oP9qR9sT9uV9wX"),

	"bank":    {"", func(d *draw, n string) string { return d.bank(n)[0] }},
	"account": {"KR_BANK_ACCOUNT", func(d *draw, n string) string { return shaped(d, d.bank(n)[1]) }},

	"won":      valueSlot("", func(d *draw) string { return fmt.Sprintf("%d,%03d,000", 1+d.IntN(98), d.IntN(1000)) }),
	"hospital": wordSlot("한빛병원", "새움정형외과의원", "누리대학교병원", "해든요양병원", "서울온맘내과"),
	"firm":     wordSlot("해든", "누리", "다온", "새길"),
	"company":  wordSlot("주식회사 세림테크", "(주)한울정밀", "다온물산 주식회사", "㈜누리푸드", "해든건설(주)", "유한회사 새길로지스"),
	"dept":     wordSlot("총무과", "기획예산과", "건축과", "품질관리팀", "생산1팀", "영업지원팀"),
}

var (
	slotPattern     = regexp.MustCompile(`\{([a-z]+)(\d*)\}`)
	particlePattern = regexp.MustCompile(`\{([가-힣]+)/([가-힣]*)\}`)
	choicePattern   = regexp.MustCompile(`\[([^\[\]{}|]*(?:\|[^\[\]{}|]*)+)\]`)
)

// fill puts values into a template and marks what is personal as readMarked's
// files do.
func fill(t testing.TB, template string, d *draw) string {
	values := map[string]string{}
	s := choicePattern.ReplaceAllStringFunc(template, func(c string) string { return d.pick(strings.Split(c[1:len(c)-1], "|")) })
	s = slotPattern.ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := values[m]; ok {
			return v
		}
		part := slotPattern.FindStringSubmatch(m)
		sl, ok := slots[part[1]]
		if !ok {
			t.Fatalf("no slot is named %s", m)
		}
		v := sl.fill(d, part[2])
		if sl.entity != "" && sl.entity != "marked" {
			v = "{" + sl.entity + "|" + v + "}"
		}
		values[m] = v
		return v
	})
	var b strings.Builder
	last := 0
	for _, m := range particlePattern.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(s[last:m[0]])
		if closed, rieul := finalConsonant(s[:m[0]]); closed && !(rieul && s[m[2]:m[3]] == "으로") {
			b.WriteString(s[m[2]:m[3]])
		} else {
			b.WriteString(s[m[4]:m[5]])
		}
		last = m[1]
	}
	return b.String() + s[last:]
}

// finalConsonant tells whether the last letter or digit of s ends in a
// consonant as it is spoken, and whether that is ㄹ.
func finalConsonant(s string) (closed, rieul bool) {
	r := []rune(strings.TrimRightFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }))
	if len(r) == 0 {
		return false, false
	}
	switch last := r[len(r)-1]; {
	case last >= '가' && last <= '힣':
		return (last-'가')%28 != 0, (last-'가')%28 == 8
	default:
		return strings.ContainsRune("013678", last), strings.ContainsRune("178", last)
	}
}

// evalRow is a filled template.
type evalRow struct {
	labelled
	domain, register, lang string
}

// fills is how often each template is filled.
const fills = 4

// readTemplates fills the templates of eval/part_*.txt with values of v. A template begins with
// "== name register language".
func readTemplates(t testing.TB, part string, v values) []evalRow {
	t.Helper()
	files, err := filepath.Glob("testdata/eval/" + part + "_*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no templates of part %s: %v", part, err)
	}
	var rows []evalRow
	for _, name := range files {
		domain := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), part+"_"), ".txt")
		for _, record := range readRecords(t, "eval/"+filepath.Base(name)) {
			head := strings.Fields(record[0])
			if len(head) != 3 || !slices.Contains([]string{"form", "chat"}, head[1]) || !slices.Contains([]string{"ko", "en", "mix"}, head[2]) {
				t.Fatalf("%s: the head %q is not a name, form or chat, and ko, en or mix", name, record[0])
			}
			for i := range fills {
				id := fmt.Sprintf("%s/%s/%d", domain, head[0], i+1)
				row := evalRow{parseMarked(id, fill(t, record[1], newDraw(v, id))), domain, head[1], head[2]}
				rows = append(rows, row)
			}
		}
	}
	return rows
}
