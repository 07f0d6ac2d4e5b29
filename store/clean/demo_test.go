package clean_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/unicode/norm"

	"cloister/store/clean"
	"cloister/store/ingest"
)

// The demo sets live with the command that shows them. They are tested here
// because reading and cleaning is what they are made for.
const demoDir = "../../cmd/cloister/testdata/demo"

type demoSet struct {
	name                   string
	facts, phrasings, rows int // at least
	personal               int // rows that hold planted values and no key
}

var demoSets = []demoSet{{"clinic", 60, 5, 300, 10}, {"lawfirm", 40, 5, 200, 13}}

func demoFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(demoDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readAll(t *testing.T, name, content string, o ingest.Options) []ingest.Record {
	t.Helper()
	var recs []ingest.Record
	err := ingest.Read(strings.NewReader(content), name, o, func(r ingest.Record) error {
		recs = append(recs, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// keysOf returns the key of each question, by its group.
func keysOf(t *testing.T, s demoSet) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for _, r := range readAll(t, "keys.csv", demoFile(t, s.name+".keys.csv"), ingest.Options{AnswerColumn: "key"}) {
		g := clean.Group(r.Question)
		if _, ok := keys[g]; ok {
			t.Errorf("keys.csv, row %d: the question was there before", r.Row)
		}
		keys[g] = r.Answer
	}
	return keys
}

// holds reports whether an answer contains one of the alternatives of a key.
func holds(answer, key string) bool {
	return slices.ContainsFunc(strings.Split(key, "|"), func(alt string) bool {
		return strings.Contains(fold(answer), fold(alt))
	})
}

func fold(s string) string { return strings.Join(strings.Fields(strings.ToLower(s)), " ") }

func TestDemoSets(t *testing.T) {
	for _, s := range demoSets {
		t.Run(s.name, func(t *testing.T) {
			keys := keysOf(t, s)
			out, rep := clean.Clean(readAll(t, s.name+".csv", demoFile(t, s.name+".csv"), ingest.Options{}), clean.Options{})
			if len(out) < s.rows || len(out) != len(keys)+s.personal {
				t.Errorf("%d rows are left, want %d questions with a key and %d rows with personal data", len(out), len(keys), s.personal)
			}
			if len(rep.Flags) > 0 || len(rep.Warnings) > 0 {
				t.Errorf("the set is not as good as a demo should be:\n%s", rep)
			}
			answers := map[string][]string{} // by key
			for _, r := range out {
				key, ok := keys[r.Group]
				if !ok {
					continue
				}
				if !holds(r.Answer, key) {
					t.Errorf("row %d: the answer does not hold the key", r.Row)
				}
				if holds(r.Question, key) {
					t.Errorf("row %d: the question gives the key away", r.Row)
				}
				if n := len(strings.Fields(r.Answer)); n > 35 {
					t.Errorf("row %d: the answer has %d words", r.Row, n)
				}
				answers[key] = append(answers[key], r.Answer)
			}
			if len(answers) < s.facts {
				t.Errorf("%d facts", len(answers))
			}
			for key, list := range answers {
				if len(list) < s.phrasings {
					t.Errorf("the fact with the key %q has %d phrasings", key, len(list))
				}
				for other, list := range answers {
					if other != key && slices.ContainsFunc(list, func(a string) bool { return holds(a, key) }) {
						t.Errorf("the key %q stands in answers of %q", key, other)
					}
				}
			}
		})
	}
}

func TestDemoDirt(t *testing.T) {
	for _, s := range demoSets {
		t.Run(s.name, func(t *testing.T) {
			raw := demoFile(t, s.name+".csv")
			for name, dirt := range map[string]string{
				"a tag": "<b>", "a break": "<br>", "an entity": "&nbsp;", "a script": "<script>", "two spaces": "  ",
				"a zero-width space": "\u200B", "a line break within a field": "\"Hi,\r\n|\"안녕하세요\r\n", "an empty line": "\r\n\r\n",
			} {
				if !slices.ContainsFunc(strings.Split(dirt, "|"), func(d string) bool { return strings.Contains(raw, d) }) {
					t.Errorf("the set lacks %s", name)
				}
			}
			if !strings.HasPrefix(raw, "\uFEFF") || strings.Count(raw, "\n") != strings.Count(raw, "\r\n") {
				t.Error("the file lacks its byte order mark or its CRLF")
			}
			if s.name == "lawfirm" && norm.NFC.IsNormalString(raw) {
				t.Error("no row is decomposed")
			}
			_, rep := clean.Clean(readAll(t, s.name+".csv", raw, ingest.Options{}), clean.Options{})
			for _, reason := range []string{clean.Empty, clean.EmptyQuestion, clean.EmptyAnswer, clean.Duplicate, clean.NearDuplicate} {
				if rep.Drops[reason] == 0 {
					t.Errorf("no row is %s", reason)
				}
			}
			for _, what := range []string{clean.ChangedCharacters, clean.ChangedHTML, clean.ChangedSpace} {
				if rep.Changes[what] < 3 {
					t.Errorf("%d rows are changed in %s", rep.Changes[what], what)
				}
			}
		})
	}
}

// TestDemoPersonalData: the planted values stand in the rows without a key,
// whole, before and after cleaning, and in nothing that is not data.
func TestDemoPersonalData(t *testing.T) {
	for _, s := range demoSets {
		t.Run(s.name, func(t *testing.T) {
			keys := keysOf(t, s)
			raw := readAll(t, s.name+".csv", demoFile(t, s.name+".csv"), ingest.Options{})
			out, rep := clean.Clean(raw, clean.Options{})
			var keyed, others strings.Builder
			for _, r := range out {
				if _, ok := keys[r.Group]; ok {
					keyed.WriteString(r.Question + "\n" + r.Answer + "\n")
				} else {
					others.WriteString(r.Question + "\n" + r.Answer + "\n")
				}
			}
			report, err := json.Marshal(rep)
			if err != nil {
				t.Fatal(err)
			}
			notData := string(report) + rep.String() + keyed.String() + demoFile(t, s.name+".allow.txt") + demoFile(t, s.name+".keys.csv")
			planted := strings.Split(strings.TrimSpace(demoFile(t, s.name+".planted.txt")), "\n")
			if len(planted) < 15 {
				t.Errorf("%d planted values", len(planted))
			}
			for _, value := range planted {
				if !strings.Contains(demoFile(t, s.name+".csv"), value) {
					t.Errorf("%q does not stand in the raw bytes", value)
				}
				if !strings.Contains(others.String(), value) {
					t.Errorf("%q does not survive cleaning", value)
				}
				if strings.Contains(notData, value) {
					t.Errorf("%q stands where no personal value may", value)
				}
			}
		})
	}
}

// TestDemoInCP949 saves the Korean set as Korean Windows does. What CP949 lacks
// (decomposed syllables, zero-width spaces) cleaning brings into line anyway.
func TestDemoInCP949(t *testing.T) {
	text := strings.NewReplacer("\uFEFF", "", "\u200B", "").Replace(norm.NFC.String(demoFile(t, "lawfirm.csv")))
	encoded, err := korean.EUCKR.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := clean.Clean(readAll(t, "lawfirm.csv", demoFile(t, "lawfirm.csv"), ingest.Options{}), clean.Options{})
	got, _ := clean.Clean(readAll(t, "lawfirm.csv", encoded, ingest.Options{}), clean.Options{})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d rows from CP949 are not the %d rows from UTF-8", len(got), len(want))
	}
}

// TestDemoSetsAreGenerated runs the generator and compares its files.
func TestDemoSetsAreGenerated(t *testing.T) {
	dir := t.TempDir()
	want := map[string]string{}
	if err := os.Mkdir(filepath.Join(dir, "gen"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, s := range demoSets {
		source := demoFile(t, filepath.Join("gen", s.name+".txt"))
		if err := os.WriteFile(filepath.Join(dir, "gen", s.name+".txt"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{".csv", ".keys.csv", ".planted.txt", ".allow.txt"} {
			want[s.name+suffix] = demoFile(t, s.name+suffix)
		}
	}
	cmd := exec.Command("go", "run", "./"+demoDir+"/gen", "-dir", dir)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, []byte(want[name])) {
			t.Errorf("%s is not what the generator writes; run go run ./cmd/cloister/testdata/demo/gen (%v)", name, err)
		}
	}
}
