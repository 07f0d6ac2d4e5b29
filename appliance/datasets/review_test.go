package datasets_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"cloister/appliance/datasets"
	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/store"
	"cloister/store/pii"
)

// reader is a model whose proposals a test decides.
type reader struct {
	read func(masked string) ([]pii.Value, error)
}

func (r reader) Name() string { return "large" }
func (r reader) Slots() int   { return 3 }
func (r reader) Read(_ context.Context, masked string) ([]pii.Value, error) {
	return r.read(masked)
}

// proposes has every import with a second pass read by a function.
func (k kit) proposes(read func(masked string) ([]pii.Value, error)) {
	k.sets.SecondPass = func(_ context.Context, model string) (datasets.Reader, error) {
		if model == "nobody" {
			return nil, fault.New(fault.NotFound, "", "model", "The model %q does not exist.", model)
		}
		return reader{read}, nil
	}
}

// doubtful is a raw file of n plain questions and one in which a name and a
// service number stand: the rules miss the one, and mask the other barely.
func doubtful(n int) string {
	var b strings.Builder
	b.WriteString("question,answer\n")
	for i := range n {
		fmt.Fprintf(&b, "Where is room %d?,On floor %d.\n", i, i%9)
	}
	b.WriteString("Does wembley quill still do that?,\"yes, wembley quill does; ask 1588-3366 or 010-1234-5678\"\n")
	return b.String()
}

func quill(string) ([]pii.Value, error) {
	return []pii.Value{{Entity: pii.Person, Value: "wembley quill"}, {Entity: pii.Person, Value: "Nobody"}}, nil
}

// A model's proposals are masked where the rules found nothing, counted, and
// reported without a value; without --second-pass no model is asked.
func TestSecondPass(t *testing.T) {
	k := newKit(t)
	var mu sync.Mutex
	var seen []string
	k.proposes(func(masked string) ([]pii.Value, error) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, masked)
		return []pii.Value{{Entity: pii.Person, Value: "Wembley Quill"}, {Entity: pii.Phone, Value: "room"}, {Entity: pii.Person, Value: "<PHONE_1>"}}, nil
	})
	file := strings.ReplaceAll(doubtful(20), "wembley quill", "Wembley Quill")
	req := datasets.ImportRequest{Name: "desk", FileName: "raw.csv"}
	k.load(t, req, file)
	if len(seen) != 0 {
		t.Fatal("a model was asked without a second pass")
	}
	req.SecondPass = true
	calls := 0
	v, err := k.sets.ImportWatched(t.Context(), req, strings.NewReader(file), func(done, total int) {
		if calls++; done != calls || total != 21 {
			t.Errorf("progress %d of %d at call %d", done, total, calls)
		}
	})
	if err != nil || calls != 21 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	if slices.ContainsFunc(seen, func(s string) bool { return strings.Contains(s, "010-1234-5678") }) {
		t.Error("the model read what rules mask")
	}
	all := k.examples(t, v)
	if said := text(all[20]); strings.Contains(said, "Quill") || strings.Count(said, "<PERSON_1>") != 2 || strings.Count(said, "<PHONE_") != 2 {
		t.Errorf("%q", said)
	}
	rep, err := k.sets.Report("desk", 0)
	if err != nil {
		t.Fatal(err)
	}
	p := rep.SecondPass
	if p == nil || p.Model != "large" || p.Read != 21 || p.Proposed != 63 || p.Places != 2 || p.Rows != 1 || len(p.Tokens) != 1 || strings.Contains(string(v.Report), "Quill") {
		t.Errorf("%+v", p)
	}
	req.Allow = []string{"Wembley Quill"}
	if v = k.load(t, req, file); !strings.Contains(text(k.examples(t, v)[20]), "Quill") {
		t.Error("a proposal on the allow list was masked")
	}
}

// When the model fails, the import does: with the row, without its text, and
// with nothing left behind.
func TestSecondPassFails(t *testing.T) {
	k := newKit(t)
	req := datasets.ImportRequest{Name: "desk", FileName: "raw.csv", SecondPass: true, Allow: []string{"02-555-0100"}}
	fails := func(want string) {
		t.Helper()
		_, err := k.sets.Import(t.Context(), req, strings.NewReader(doubtful(5)))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "quill") {
			t.Errorf("%v, want %q", err, want)
		}
		if sets, err := k.st.Datasets(); err != nil || len(sets) != 0 {
			t.Errorf("left behind: %v, %v", sets, err)
		}
		if files, _, err := k.st.Files("", store.Page{}); err != nil || len(files) != 0 {
			t.Errorf("left behind: %v, %v", files, err)
		}
		if len(k.mask.Allowed()) != 0 {
			t.Error("the allow list has changed")
		}
	}
	fails("no models here")
	k.proposes(func(masked string) ([]pii.Value, error) {
		if strings.Contains(masked, "quill") {
			return nil, errors.New("out of order")
		}
		return nil, nil
	})
	fails("row 7: out of order")
	req.Model = "nobody"
	fails(`"nobody" does not exist`)
	ctx, cancel := context.WithCancel(t.Context())
	k.proposes(func(string) ([]pii.Value, error) { cancel(); return nil, ctx.Err() })
	req.Model = ""
	if _, err := k.sets.Import(ctx, req, strings.NewReader(doubtful(5))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func (k kit) review(t *testing.T, from, to float64) map[string]datasets.ReviewItem {
	t.Helper()
	r, err := k.sets.Review(t.Context(), "desk", 0, datasets.ReviewRequest{From: from, To: to})
	if err != nil || r.Total != len(r.Items) {
		t.Fatalf("%d of %d, %v", len(r.Items), r.Total, err)
	}
	items := map[string]datasets.ReviewItem{}
	for _, item := range r.Items {
		items[item.Value] = item
	}
	return items
}

// What is uncertain is listed with its context; decisions become rules, of
// which a new version is made, and are not asked again.
func TestReview(t *testing.T) {
	k := newKit(t)
	k.proposes(quill)
	k.load(t, datasets.ImportRequest{Name: "desk", FileName: "raw.csv", System: "Be short.", SecondPass: true}, doubtful(20)+
		"Is wembley quill in Seoul?,\"no, 1588-3366 says 서울 강남구\"\n")
	items := k.review(t, datasets.DefaultFrom, datasets.DefaultTo)
	if p := items["wembley quill"]; len(items) != 3 || !p.Masked || p.Recogniser != pii.SecondPass || p.Evidence != "second pass: proposed by large" {
		t.Fatalf("%d items, %+v", len(items), p)
	}
	place := items["서울 강남구"]
	if place.Masked || place.Row != 23 || place.Role != "assistant" || place.Kind != datasets.KindFinding || place.Score < 0.3 || place.Score >= 0.5 || place.Before != "no, 1588-3366 says " || place.Evidence == "" {
		t.Errorf("%+v", place)
	}
	_, err := k.sets.Decide(t.Context(), "desk", 0, map[string]masking.Verdict{place.ID: "perhaps"}, false)
	if err == nil || !strings.Contains(err.Error(), "perhaps") {
		t.Errorf("%v", err)
	}
	_, err = k.sets.Decide(t.Context(), "desk", 0, map[string]masking.Verdict{place.ID: masking.Yes, "unknown": masking.No}, false)
	if err == nil || !strings.Contains(err.Error(), `the id "unknown"`) {
		t.Errorf("%v", err)
	}
	if len(k.review(t, 0.3, 0.7)) != 3 {
		t.Fatal("a part of wrong decisions was kept")
	}
	done, err := k.sets.Decide(t.Context(), "desk", 0, map[string]masking.Verdict{place.ID: masking.Yes, items["1588-3366"].ID: masking.Never}, true)
	if err != nil || done.Counts[masking.Yes] != 1 || done.Counts[masking.Never] != 1 || done.Version == nil || done.Version.Number != 2 || done.Version.Origin != "review" {
		t.Fatalf("%+v, %v", done, err)
	}
	all := k.examples(t, *done.Version)
	if said := text(all[21]); strings.Contains(said, "강남구") || !strings.Contains(said, "1588-3366") || !strings.HasPrefix(said, "system: Be short.") {
		t.Errorf("%q", said)
	}
	if items := k.review(t, 0.3, 0.7); len(items) != 1 || items["wembley quill"].Recogniser != pii.SecondPass {
		t.Errorf("what was decided is asked again, or what was not is lost: %d items", len(items))
	}
	rep, err := k.sets.Report("desk", 2)
	if err != nil || !rep.Reviewed || rep.SecondPass == nil {
		t.Errorf("%+v, %v", rep, err)
	}
}

// Yes and no are about one record, and outlast an append of other rows.
func TestReviewHere(t *testing.T) {
	k := newKit(t)
	k.load(t, datasets.ImportRequest{Name: "desk", FileName: "raw.csv"}, "question,answer\nWho is it?,1588-3366\nAnd there?,1588-3366 as well\nOr?,Nobody\n")
	r, err := k.sets.Review(t.Context(), "desk", 0, datasets.ReviewRequest{From: 0.3, To: 0.7, Limit: 1})
	if err != nil || r.Total != 2 || len(r.Items) != 1 || r.Items[0].Row != 2 || !r.Items[0].Masked {
		t.Fatalf("%+v, %v", r, err)
	}
	done, err := k.sets.Decide(t.Context(), "desk", 0, map[string]masking.Verdict{r.Items[0].ID: masking.No}, true)
	if err != nil {
		t.Fatal(err)
	}
	check := func(v store.Version) {
		t.Helper()
		all := ""
		for _, ex := range k.examples(t, v) {
			all += text(ex) + "\n"
		}
		if strings.Count(all, "1588-3366") != 1 || !strings.Contains(all, "<PHONE_1> as well") {
			t.Errorf("%s@%d: %q", v.Dataset, v.Number, all)
		}
	}
	check(*done.Version)
	check(k.load(t, datasets.ImportRequest{Name: "desk", FileName: "more.csv", Append: true}, "question,answer\nHow long?,An hour\nHow far?,A mile\n"))
	if _, err := k.sets.Decide(t.Context(), "desk", 1, nil, true); err == nil || !strings.Contains(err.Error(), "not the newest") {
		t.Errorf("an old version: %v", err)
	}
}

// Values that stand in many answers are proposed, unless a question has them;
// a person's word allows them, with context shown.
func TestReviewProposals(t *testing.T) {
	k := newKit(t)
	var b strings.Builder
	b.WriteString("question,answer\n")
	for _, what := range []string{"rooms", "prices", "hours", "parking", "results", "visits"} {
		fmt.Fprintf(&b, "What of %s?,For %s call %s or %s.\n", what, what, frontDesk, patient)
	}
	fmt.Fprintf(&b, "My number is %s; do you have it?,Yes.\n", patient)
	v := k.load(t, datasets.ImportRequest{Name: "desk", FileName: "raw.csv"}, b.String())
	rep, err := k.sets.Report("desk", 0)
	if err != nil || len(rep.Mask.Proposals) != 1 || rep.Mask.Asked != 1 || strings.Contains(string(v.Report), "For rooms") {
		t.Fatalf("%+v, %v", rep.Mask, err)
	}
	items := k.review(t, 0.3, 0.7)
	p := items[frontDesk]
	if len(items) != 1 || p.Kind != datasets.KindProposal || p.Questions != 6 || len(p.Contexts) != 3 || p.Contexts[0] != "For rooms call "+p.Token+" or <PHONE_2>." {
		t.Fatalf("%+v", items)
	}
	if _, err := k.sets.Decide(t.Context(), "desk", 0, map[string]masking.Verdict{p.ID: masking.Yes}, false); err == nil || !strings.Contains(err.Error(), "always or never") {
		t.Errorf("%v", err)
	}
	done, err := k.sets.Decide(t.Context(), "desk", 0, map[string]masking.Verdict{p.ID: masking.Never}, true)
	if err != nil || !strings.Contains(text(k.examples(t, *done.Version)[0]), frontDesk) {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestReviewRefused(t *testing.T) {
	k := newKit(t)
	if _, err := k.sets.Review(t.Context(), "nowhere", 0, datasets.ReviewRequest{From: 0.3, To: 0.7}); err == nil || !strings.Contains(err.Error(), `no dataset "nowhere"`) {
		t.Errorf("%v", err)
	}
	if _, err := k.sets.Review(t.Context(), "desk", 0, datasets.ReviewRequest{From: 0.7, To: 0.3}); err == nil || !strings.Contains(err.Error(), "below the second") {
		t.Errorf("%v", err)
	}
	v, err := k.sets.FromFiles(t.Context(), k.upload(t, chatFile(12)), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.sets.Review(t.Context(), v.Dataset, 0, datasets.ReviewRequest{From: 0.3, To: 0.7}); err == nil || !strings.Contains(err.Error(), "openai-file") {
		t.Errorf("%v", err)
	}
}
