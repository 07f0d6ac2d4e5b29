package leaks_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"

	"cloister/appliance/appliancetest"
	"cloister/appliance/datasets"
	"cloister/appliance/leaks"
	"cloister/appliance/masking"
	"cloister/lora/eval"
	"cloister/store"
	"cloister/store/pii"
	"cloister/store/pii/policy"
)

// An invented patient.
const (
	person = "홍길동"
	phone  = "010-9876-5432"
	short  = "박솔" // a name that may stand by chance
)

// kit has a vault with the values, and a dataset in which their tokens stand.
type kit struct {
	t    *testing.T
	st   *store.Store
	home string
	mask *masking.Service
	job  store.Job
	set  store.Version
}

func newKit(t *testing.T) *kit {
	t.Helper()
	k := &kit{t: t}
	k.st, k.home = appliancetest.Store(t)
	k.mask = appliancetest.Masking(t, k.st)
	csv := "question,answer\n환자 홍길동 님 전화번호가 010-9876-5432 맞나요?,네 맞습니다.\n환자명: 박솔,확인했습니다.\nWhen do you open?,At nine.\n"
	var err error
	if k.set, err = datasets.New(k.st, k.mask).Import(t.Context(), datasets.ImportRequest{Name: "clinic", FileName: "a.csv"}, strings.NewReader(csv)); err != nil {
		t.Fatal(err)
	}
	if err := k.st.PutBaseModel(store.BaseModel{Name: "tiny", Path: "models/tiny.gguf", SHA256: strings.Repeat("0", 64)}); err != nil {
		t.Fatal(err)
	}
	if k.job, err = k.st.CreateJob(store.Job{Base: "tiny", Dataset: "clinic", Version: 1}); err != nil {
		t.Fatal(err)
	}
	k.file("run/log.txt", []byte("nothing of note"))
	return k
}

// file writes one of the data directory.
func (k *kit) file(name string, data []byte) {
	k.t.Helper()
	path := filepath.Join(k.home, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// raw makes a text that a masker passes with its values in it.
func (k *kit) raw(text string) pii.Masked {
	k.t.Helper()
	blind, err := pii.New(pii.MemoryVault(), pii.Options{Entities: []string{pii.IBAN}})
	if err != nil {
		k.t.Fatal(err)
	}
	m, _, err := blind.Mask(text)
	if err != nil {
		k.t.Fatal(err)
	}
	return m
}

func (k *kit) search(thorough bool, more ...string) (*leaks.Search, eval.Leak) {
	k.t.Helper()
	x, err := leaks.New(k.st, k.mask, k.home).Start(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	var out eval.Leak
	if err := x.Everywhere(k.t.Context(), thorough, more, &out); err != nil {
		k.t.Fatal(err)
	}
	raw, err := json.Marshal(out)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, v := range []string{person, phone, short} {
		if strings.Contains(string(raw), v) || strings.Contains(out.String(), v) {
			k.t.Errorf("the report holds a value: %s", raw)
		}
	}
	return x, out
}

func wide(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// A value that is planted is found, wherever, and nothing else is.
func TestEverywhere(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "syslog")
	if err := os.WriteFile(outside, []byte("GET /"+phone), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, place, where, entity string
		plant                      func(k *kit) error
	}{
		{"nothing", "", "", "", func(*kit) error { return nil }},
		{"train", "train", "other@1 row 1 messages[0].content", pii.Person, func(k *kit) error { return k.example(store.Train, person+" 님이 물었다") }},
		{"valid", "valid", "other@1 row 1", pii.Phone, func(k *kit) error { return k.example(store.Valid, "call 01098765432") }},
		{"test", "test", "other@1 row 1", pii.Person, func(k *kit) error { return k.example(store.Test, person) }},
		{"dataset name", "dataset version", "a name that holds <PERSON_", pii.Person, func(k *kit) error {
			_, err := k.st.CreateVersion(context.Background(), store.NewVersion{Dataset: person, Examples: []store.NewExample{{Row: 1, Messages: []store.NewMessage{{Role: "user", Content: k.raw("a")}}}}})
			return err
		}},
		{"metadata", "job", " metadata.patient", pii.Person, func(k *kit) error {
			_, err := k.st.CreateJob(store.Job{Base: "tiny", Dataset: "clinic", Version: 1, Metadata: map[string]string{"patient": person}})
			return err
		}},
		{"event", "event", " message", pii.Phone, func(k *kit) error {
			_, err := k.st.AppendEvent(store.Event{JobID: k.job.ID, Message: "row 7: " + phone})
			return err
		}},
		{"event data", "event", " data.numbers[0]", pii.Phone, func(k *kit) error {
			_, err := k.st.AppendEvent(store.Event{JobID: k.job.ID, Message: "m", Data: json.RawMessage(`{"numbers":["` + phone + `"]}`)})
			return err
		}},
		{"answer", "answer", "answer", pii.Person, func(k *kit) error {
			_, err := k.st.PutAnswer(store.NewAnswer{Model: "tiny", Answer: k.raw(person + "에게 물어보세요")})
			return err
		}},
		{"evaluation", "evaluation", "report.samples[0].answer", pii.Phone, func(k *kit) error {
			_, err := k.st.PutEvaluation(store.Evaluation{Model: "tiny", Report: json.RawMessage(`{"samples":[{"answer":"` + phone + `"}]}`)})
			return err
		}},
		{"setting", "setting", "x", pii.Phone, func(k *kit) error { return k.st.PutSetting("x", []string{phone}) }},
		{"audit", "audit", "detail", pii.Person, func(k *kit) error {
			_, err := k.st.AppendAudit(store.Audit{Action: "a", Detail: person})
			return err
		}},
		{"file record", "file", " name", pii.Person, func(k *kit) error {
			_, err := k.st.PutFile(context.Background(), store.File{Name: person + ".csv", Purpose: "import"}, strings.NewReader(phone))
			return err
		}},
		{"log", "files/run", "run/log.txt", pii.Phone, func(k *kit) error { k.file("run/log.txt", []byte("GET /?q="+phone)); return nil }},
		{"adapter", "files/adapters", "adapters/a.gguf", pii.Person, func(k *kit) error {
			k.file("adapters/a.gguf", []byte("GGUF\x03\x00\x00\x00general.name\x08\x00\x00\x00"+person+"\x00"))
			return nil
		}},
		{"JSON", "files/work", "work/s.json", pii.Person, func(k *kit) error {
			k.file("work/s.json", []byte(`{"name":`+strconv.QuoteToASCII(person)+`}`))
			return nil
		}},
		{"NFD", "files", "n.txt", pii.Person, func(k *kit) error { k.file("n.txt", []byte(norm.NFD.String(person))); return nil }},
		{"UTF-16", "files", "u.txt (UTF-16)", pii.Person, func(k *kit) error { k.file("u.txt", append([]byte("x"), wide(person+"\n")...)); return nil }},
		{"file name", "files/work", "a name that holds <PERSON_", pii.Person, func(k *kit) error { k.file("work/"+person+".txt", nil); return nil }},
		{"database", "files/store", "store/db/leftover", pii.Phone, func(k *kit) error { k.file("store/db/leftover", []byte(phone)); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKit(t)
			if err := c.plant(k); err != nil {
				t.Fatal(err)
			}
			_, out := k.search(false)
			if out.Values != 2 || out.Weak != 1 {
				t.Errorf("%d values and %d weak ones", out.Values, out.Weak)
			}
			if c.place == "" {
				if out.Leaks() != 0 || len(out.Places) < 5 || out.Places[0].Place != "train" {
					t.Errorf("%s", out)
				}
				return
			}
			if out.Leaks() == 0 || len(out.Found) != out.Leaks() {
				t.Fatalf("%s", out)
			}
			for _, h := range out.Found {
				if !slices.Contains(strings.Fields(c.place), h.Place) || h.Entity != c.entity || !strings.Contains(h.Where, c.where) || !strings.HasPrefix(h.Token, "<"+c.entity) {
					t.Errorf("%+v", h)
				}
			}
			if c.name == "database" { // Check must not see it
				if err := os.Remove(filepath.Join(k.home, "store/db/leftover")); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Run("outside", func(t *testing.T) {
		k := newKit(t)
		if _, out := k.search(false, outside); out.Leaks() != 1 || out.Found[0].Place != "files "+outside || out.Found[0].Offset != 5 {
			t.Errorf("%s", out)
		}
		x, err := leaks.New(k.st, k.mask, k.home).Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Everywhere(t.Context(), false, []string{outside + ".1"}, new(eval.Leak)); err == nil || !strings.Contains(err.Error(), "syslog.1") {
			t.Errorf("%v", err)
		}
	})
}

// example stores a text in a split of another dataset.
func (k *kit) example(split store.Split, text string) error {
	_, err := k.st.CreateVersion(context.Background(), store.NewVersion{Dataset: "other", Examples: []store.NewExample{
		{Row: 1, Split: split, Messages: []store.NewMessage{{Role: "user", Content: k.raw(text)}}},
	}})
	return err
}

// A base model was there before the data: a short search leaves it out, and a
// thorough one says what is in it without counting it.
func TestBaseModel(t *testing.T) {
	k := newKit(t)
	k.file("models/tiny.gguf", []byte(phone))
	if _, out := k.search(false); out.Leaks() != 0 || len(out.Found) != 0 {
		t.Errorf("%s", out)
	}
	_, out := k.search(true)
	if out.Leaks() != 0 || len(out.Found) != 1 || !strings.Contains(out.String(), "does not count") {
		t.Errorf("%s", out)
	}
}

// Values that are allowed afterwards are no secret.
func TestAllowed(t *testing.T) {
	k := newKit(t)
	k.file("f", []byte(phone))
	if err := k.mask.Allow([]string{"대표전화 " + phone}); err != nil {
		t.Fatal(err)
	}
	if _, out := k.search(true); out.Leaks() != 0 || out.Allowed != 1 || out.Values != 1 {
		t.Errorf("%s", out)
	}
}

// A short name counts in a text where the masker finds a name, in a thorough
// search, and in answers always.
func TestEvidence(t *testing.T) {
	k := newKit(t)
	if err := k.example(store.Train, "환자명: "+short+", 오늘 내원"); err != nil {
		t.Fatal(err)
	}
	if _, out := k.search(false); out.Leaks() != 0 {
		t.Errorf("%s", out)
	}
	x, out := k.search(true)
	if out.Leaks() != 1 || out.Found[0].Place != "train" {
		t.Errorf("%s", out)
	}
	answers := func(text string) (n int) {
		x.Answer(text, func(string, string, int64) { n++ })
		return n
	}
	// What came into the vault with an answer, and stands in no dataset, is no leak of it.
	if _, _, err := k.mask.Mask("전화 010-1111-2222"); err != nil {
		t.Fatal(err)
	}
	x, _ = k.search(false)
	for text, want := range map[string]int{
		"환자명: " + short: 1, "솔 향이 난다": 0, person + "입니다, " + phone: 2, "010-1111-2222": 0, "": 0,
	} {
		if got := answers(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// A search ends with its context.
func TestCancel(t *testing.T) {
	k := newKit(t)
	x, err := leaks.New(k.st, k.mask, k.home).Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Everywhere(ctx, false, nil, new(eval.Leak)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A value that was masked by a surrogate is looked for as well; what the policy
// allows by a pattern, and what stands for itself, is not.
func TestSurrogates(t *testing.T) {
	k := newKit(t)
	p, err := policy.Parse("policy.yaml", []byte("version: 1\nentities:\n  PERSON: surrogate\n  PHONE: surrogate\n  EMAIL: surrogate\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.mask.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	texts, _, err := k.mask.MaskLines([]string{"환자 독고영재는 010-4321-8765, a@b.example.com"})
	if err != nil || strings.Contains(texts[0], "4321") {
		t.Fatalf("%q, %v", texts, err)
	}
	k.file("surrogates.txt", []byte(texts[0]))
	k.file("f", []byte("010-4321-8765 독고영재 님"))
	x, out := k.search(false)
	if out.Leaks() != 2 || out.Found[0].Where != "f" || out.Found[0].Token != "PHONE" {
		t.Errorf("%s", out)
	}
	n := 0
	x.Answer("010-4321-8765입니다", func(string, string, int64) { n++ })
	if n != 1 {
		t.Errorf("%d in an answer", n)
	}
	if p, err = policy.Parse("policy.yaml", []byte("version: 1\nallow:\n  patterns: ['010-4321-\\d{4}']\n"), nil); err != nil {
		t.Fatal(err)
	}
	if err := k.mask.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	if _, out := k.search(false); out.Leaks() != 1 || out.Found[0].Entity != "PERSON" {
		t.Errorf("%s", out)
	}
}
