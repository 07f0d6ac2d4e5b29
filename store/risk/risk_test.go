package risk_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cloister/store/risk"
)

func find(t *testing.T, texts ...string) string {
	t.Helper()
	f, err := risk.NewFinder()
	if err != nil {
		t.Fatal(err)
	}
	found := f.Find(texts)
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(found)) {
		parts = append(parts, fmt.Sprintf("%s %s", k, strings.Join(found[k], "|")))
	}
	return strings.Join(parts, "; ")
}

func TestFind(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"언제 여나요? 방은 B17호입니다. 남은 시간과 여러 가지", ""},
		{"환자는 45세 남성, 당뇨로 2026년 5월 3일 내원", "age 45|40-49; date 2026-05|2026; disease 당뇨; sex male"},
		{"성별: 여, 나이: 72세, 강남구에 거주", "age 72|70-79; district 강남구|서울; sex female"},
		{"여자가 왔다. 중구에서", "district 중구|; sex female"},
		{"남/45, 진단명: E11.9", "age 45|40-49; disease E11.9; sex male"},
		{"상병코드 K21", "disease K21"},
		{"A 45-year-old woman with lupus, seen on 2026-05-03", "age 45|40-49; date 2026-05|2026; disease 루푸스; sex female"},
		{"I am a firefighter.", "job 소방관"},
		{"직업은 광부입니다", "job 광부"},
		{"해녀로 일하고, 용접공으로 근무합니다", "job 용접공"},
		{"The doctor sees you at nine; also the nurse.", ""},
		{"also walls", ""},
	} {
		if got := find(t, c.text); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
	// Over the texts of a record, each value once.
	if got, want := find(t, "위암 환자입니다", "위암과 천식은 2026-05-03, 2026-05-20"), "date 2026-05|2026; disease 위암,천식"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// people are 12 rows: ten in pairs that differ in the year of their age only,
// one alone in everything, and one that names one quasi-identifier.
func people() (rows []risk.Row) {
	for i := range 10 {
		age := fmt.Sprint(40 + i/2)
		rows = append(rows, risk.Row{Number: i + 1, ID: fmt.Sprintf("ex-%d", i), Values: map[risk.Kind][]string{risk.Age: {age, "40-49"}, risk.Sex: {"male"}}})
	}
	return append(rows,
		risk.Row{Number: 11, ID: "ex-alone", Values: map[risk.Kind][]string{risk.Age: {"44", "40-49"}, risk.Sex: {"male"}, risk.Disease: {"낭포성 섬유증"}}},
		risk.Row{Number: 12, ID: "ex-subject", Values: map[risk.Kind][]string{risk.Disease: {"당뇨"}}},
	)
}

func TestAssess(t *testing.T) {
	r := risk.Assess(people(), 5)
	if r.Rows != 12 || r.Taking != 11 || r.Groups != 6 || r.Least != 1 || r.Below != 11 || r.Alone != 1 || r.Kinds[risk.Disease] != 2 || r.Kinds[risk.Age] != 11 {
		t.Errorf("%+v", r)
	}
	first := r.Standings[0]
	if len(r.Standings) != 11 || first.Row != 11 || first.K != 1 || fmt.Sprint(first.With) != "[age sex disease]" || r.Standings[1].K != 2 {
		t.Errorf("%+v", r.Standings)
	}
	// Ages by ten years bring ten rows together, and so does leaving them out;
	// without the disease row 11 is like rows 9 and 10.
	help := map[string][2]int{}
	for _, m := range r.Remedies {
		help[m.How] = [2]int{m.Below, m.Alone}
	}
	for how, want := range map[string][2]int{"ages by ten years": {1, 1}, "without age": {1, 1}, "without disease": {11, 0}} {
		if help[how] != want {
			t.Errorf("%s: %v, want %v", how, help[how], want)
		}
	}
	if r.Remedies[0].Below > r.Remedies[len(r.Remedies)-1].Below {
		t.Errorf("%+v", r.Remedies)
	}
	raw, err := json.Marshal(r)
	if err != nil || strings.Contains(string(raw), "40-49") || strings.Contains(string(raw), "낭포성") {
		t.Errorf("the report holds values: %s, %v", raw, err)
	}
	if r := risk.Assess(people(), 2); r.Below != 1 {
		t.Errorf("%+v", r)
	}
	if r := risk.Assess(nil, 5); r.Least != 0 || r.Below != 0 || len(r.Remedies) != 0 {
		t.Errorf("%+v", r)
	}
}
