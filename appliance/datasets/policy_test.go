package datasets_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"cloister/appliance/datasets"
	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/store"
	"cloister/store/pii"
)

// A policy that comes with an import is the project's from then on, and each
// version says what it was made with.
func TestImportPolicy(t *testing.T) {
	k := newKit(t)
	req := datasets.ImportRequest{Name: "clinic", FileName: "raw.csv", Allow: []string{frontDesk}}
	plain := k.load(t, req, clinic(20))
	req.Policy = []byte(`{"version": 1, "entities": {"PHONE": "surrogate", "DATE": "keep", "URL": "keep"},
		"rules": [{"name": "rooms", "entity": "ROOM", "pattern": "room (\\d{3})", "mode": "label"}], "allow": {"values": ["room 119"]}}`)
	with := k.load(t, req, clinic(20))
	req.Policy, req.Append = nil, true
	later := k.load(t, req, "question,answer\nMay I call 010-2222-3333 about room 100?,Yes.\n")
	all := ""
	for _, ex := range k.examples(t, later) {
		all += text(ex) + "\n"
	}
	if strings.Contains(all, patient) || strings.Contains(all, "<PHONE") || !strings.Contains(all, "My number is 010-0") || !strings.Contains(all, "about room [ROOM]?") || !strings.Contains(all, frontDesk) {
		t.Error(all)
	}
	var used []masking.Used
	for i, v := range []int{plain.Number, with.Number, later.Number} {
		rep, err := k.sets.Report("clinic", v)
		if err != nil || rep.Mask.Used == nil || rep.Mask.Used.Allowed < 1 || (rep.Mask.Used.Policy == "") != (i == 0) {
			t.Fatalf("version %d: %+v, %v", v, rep.Mask.Used, err)
		}
		u, err := k.sets.Used("clinic", v)
		if err != nil || !slices.Equal(u.Allow, []string{frontDesk}) {
			t.Errorf("version %d: %+v, %v", v, u, err)
		}
		used = append(used, u)
	}
	if string(used[0].Policy) != "null" || !strings.Contains(string(used[1].Policy), "rooms") || string(used[1].Policy) != string(used[2].Policy) {
		t.Errorf("%s", used)
	}
	rep, err := k.sets.Report("clinic", with.Number)
	if err != nil || rep.Mask.Entities["ROOM"] == 0 || rep.Mask.Used.Modes[pii.Phone] != pii.ModeSurrogate {
		t.Errorf("%+v, %v", rep.Mask, err)
	}
	// Values behind labels are not proposed: nobody could say what they were.
	for _, p := range rep.Mask.Proposals {
		if p.Entity == "ROOM" {
			t.Errorf("proposed: %+v", p)
		}
	}
	if _, err := k.sets.Reveal("clinic", with.Number); err != nil {
		t.Error(err)
	}
	// A file that cannot be imported changes neither the policy nor the allow list.
	before, err := k.mask.Record()
	if err != nil {
		t.Fatal(err)
	}
	mixed := req
	mixed.FileName, mixed.Policy, mixed.Allow = "mixed.jsonl", []byte(`{"version": 1, "default": "label"}`), []string{"02-555-0123"}
	_, err = k.sets.Import(t.Context(), mixed, strings.NewReader(`{"messages":[{"role":"user","content":"May I park?"},{"role":"assistant","content":"Yes."}],"label":true}
{"messages":[{"role":"user","content":"Is it open today?"},{"role":"assistant","content":"No, never."}]}
`))
	if after, err2 := k.mask.Record(); err == nil || err2 != nil || after.Hash != before.Hash {
		t.Errorf("%v, %v; %+v, before %+v", err, err2, after, before)
	}
	// With the last dataset that was made with it goes what it was masked with.
	req.Name, req.Append = "other", false
	other := k.load(t, req, clinic(3))
	rep, err = k.sets.Report("other", other.Number)
	if err != nil {
		t.Fatal(err)
	}
	shared := rep.Mask.Used.Hash
	alone, err := k.sets.Report("clinic", plain.Number)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"clinic", "other"} {
		if err := k.sets.Remove(name); err != nil {
			t.Fatal(err)
		}
		if _, err := k.mask.Used(shared); (err == nil) != (i == 0) {
			t.Errorf("what both were masked with, without %s: %v", name, err)
		}
		if _, err := k.mask.Used(alone.Mask.Used.Hash); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what only clinic was masked with is still there: %v", err)
		}
	}
	// Versions of older Cloisters say that they do not know.
	ex := store.NewExample{Row: 1, Group: "g", Messages: []store.NewMessage{{Role: "user"}, {Role: "assistant"}}}
	old, err := k.st.CreateVersion(t.Context(), store.NewVersion{Dataset: "old", Report: []byte(`{"mask": {"entities": {}, "rows": 0}}`), Examples: []store.NewExample{ex}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.sets.Used("old", old.Number); err == nil || !strings.Contains(err.Error(), "older Cloister") {
		t.Errorf("%v", err)
	}
	for src, says := range map[string]string{
		`{"version": 1, "entities": {"PHONE": "blur"}}`:                                              "entities.PHONE: is no mode",
		`{"version": 1, "rules": [{"name": "r", "entity": "STAFF", "words_file": "/etc/hostname"}]}`: "cannot name files",
		`{"version": 1, "rules": [{"name": "r", "entity": "STAFF", "words": ["Ada Example", "x"]}]}`: "words[2]: a word must have",
	} {
		req.Policy = []byte(src)
		_, err := k.sets.Import(t.Context(), req, strings.NewReader(clinic(3)))
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != "invalid_policy" || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "Ada") {
			t.Errorf("%s: %v", src, err)
		}
	}
}
