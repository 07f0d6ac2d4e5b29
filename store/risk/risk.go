// Package risk measures how well the records of a dataset hide among each
// other, when what is left in them is put together: k-anonymity (Sweeney,
// "k-anonymity: a model for protecting privacy", 2002).
//
// A quasi-identifier says little about a person by itself and much with others:
// age, sex, district, date, disease, job, education, position, nationality. A
// record is anonymous to the degree k when k-1 others have all of its
// quasi-identifiers in common; with k = 1 it stands alone. A quasi-identifier
// that a record does not name is a value of its own. Records with fewer than two
// take no part: one word such as a disease is a subject, not a person.
//
// # Limits
//
// What is found is what the rules know: the recognisers of package pii for
// ages, dates, education, position and nationality; districts of Korea; the
// words for sexes; the diseases and jobs of the lists in data/. Whether all
// records of a class tell the same secret (l-diversity), and what else an
// attacker knows, are not looked at. Values that were masked are not there to
// be found.
package risk

import (
	"cmp"
	"slices"
	"strings"
)

// Kind is a kind of quasi-identifiers.
type Kind string

// The kinds.
const (
	Age         Kind = "age"
	Sex         Kind = "sex"
	District    Kind = "district"
	Date        Kind = "date"
	Disease     Kind = "disease"
	Job         Kind = "job"
	Education   Kind = "education"
	Position    Kind = "position"
	Nationality Kind = "nationality"
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{Age, Sex, District, Date, Disease, Job, Education, Position, Nationality}
}

// Row is a record: the values of its quasi-identifiers, sorted, at each level of
// detail. They are personal data when put together.
type Row struct {
	Number int    // of the original file, from 1; 0 when unknown
	ID     string // of the example
	// Values holds, for each kind that the record names, its value as it is and,
	// for kinds that can say less, more general ones: the ten years of an age, the
	// province of a district, the year of a month.
	Values map[Kind][]string
}

// Standing is how a row stands among the others, without its values.
type Standing struct {
	Row  int    `json:"row,omitempty"`
	ID   string `json:"id"`
	K    int    `json:"k"`    // rows, itself included, that are the same in everything
	With []Kind `json:"with"` // what it names
}

// Remedy is what saying less would bring.
type Remedy struct {
	How   string `json:"how"`
	Below int    `json:"below"` // rows whose k would be too small
	Alone int    `json:"alone"` // rows that would stand alone
}

// Report is the risk of a dataset. It holds no values.
type Report struct {
	K      int          `json:"k"`       // that was asked for
	Rows   int          `json:"rows"`    // of the dataset
	Taking int          `json:"taking"`  // that name two quasi-identifiers or more
	Groups int          `json:"classes"` // of rows that are the same in everything
	Least  int          `json:"least"`   // the dataset is k-anonymous for this k; 0: no row takes part
	Below  int          `json:"below"`   // rows whose k is too small
	Alone  int          `json:"alone"`   // rows with k = 1
	Kinds  map[Kind]int `json:"kinds"`   // rows that name each
	// Standings are the rows below k, those that stand alone first, at most
	// MaxStandings.
	Standings []Standing `json:"standings"`
	Remedies  []Remedy   `json:"remedies,omitempty"` // the best first
}

// MaxStandings is how many rows a Report lists; all are counted.
const MaxStandings = 1000

// Assess computes the report of all rows of a dataset for a k of 2 or more.
func Assess(rows []Row, k int) Report {
	r := Report{K: k, Rows: len(rows), Kinds: map[Kind]int{}, Standings: []Standing{}}
	var taking []Row
	for _, row := range rows {
		for kind := range row.Values {
			r.Kinds[kind]++
		}
		if len(row.Values) >= 2 {
			taking = append(taking, row)
		}
	}
	r.Taking = len(taking)
	sizes := classes(taking, nil)
	r.Groups = len(sizes)
	r.Below, r.Alone = small(taking, sizes, nil, k)
	for _, row := range taking {
		n := sizes[key(row, nil)]
		if r.Least == 0 || n < r.Least {
			r.Least = n
		}
		if n < k {
			r.Standings = append(r.Standings, Standing{Row: row.Number, ID: row.ID, K: n, With: named(row)})
		}
	}
	slices.SortStableFunc(r.Standings, func(a, b Standing) int { return cmp.Compare(a.K, b.K) })
	r.Standings = r.Standings[:min(len(r.Standings), MaxStandings)]
	if r.Below > 0 {
		r.Remedies = remedies(taking, k)
	}
	return r
}

// levels are, for a kind, how much of its value is used: 0 all, 1 the next more
// general one, …; dropped: nothing.
type levels map[Kind]int

const dropped = 99

// key is what rows of one class have in common.
func key(row Row, at levels) string {
	var b strings.Builder
	for _, kind := range Kinds() {
		if v := row.Values[kind]; v != nil && at[kind] < len(v) {
			b.WriteString(v[at[kind]])
		}
		b.WriteByte(0)
	}
	return b.String()
}

func classes(rows []Row, at levels) map[string]int {
	sizes := map[string]int{}
	for _, row := range rows {
		sizes[key(row, at)]++
	}
	return sizes
}

// small counts the rows in classes of fewer than k, and of one.
func small(rows []Row, sizes map[string]int, at levels, k int) (below, alone int) {
	for _, row := range rows {
		n := sizes[key(row, at)]
		if n < k {
			below++
		}
		if n == 1 {
			alone++
		}
	}
	return below, alone
}

// named are the kinds that a row names, in order.
func named(row Row) []Kind {
	return slices.DeleteFunc(Kinds(), func(kind Kind) bool { return row.Values[kind] == nil })
}

// remedies tries what could be said less, each alone and all together, and
// keeps what helps.
func remedies(rows []Row, k int) []Remedy {
	all := levels{Age: 1, Date: 1, District: 1}
	tries := []struct {
		how string
		at  levels
	}{
		{"ages by ten years", levels{Age: 1}}, {"dates by year", levels{Date: 1}}, {"districts by province", levels{District: 1}},
		{"ages by ten years, dates by year, districts by province", all},
	}
	for _, kind := range Kinds() {
		tries = append(tries, struct {
			how string
			at  levels
		}{"without " + string(kind), levels{kind: dropped}})
	}
	before, alone := small(rows, classes(rows, nil), nil, k)
	var out []Remedy
	for _, t := range tries {
		r := Remedy{How: t.how}
		if r.Below, r.Alone = small(rows, classes(rows, t.at), t.at, k); r.Below < before || r.Alone < alone {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Remedy) int { return cmp.Or(cmp.Compare(a.Below, b.Below), cmp.Compare(a.Alone, b.Alone)) })
	return out
}
