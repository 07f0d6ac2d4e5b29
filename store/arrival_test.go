package store_test

import (
	"bytes"
	"strings"
	"testing"

	"cloister/store"
	"cloister/store/vault"
)

func TestSecret(t *testing.T) {
	h := open(t)
	_, err := h.Secret("site/key")
	want(t, err, store.ErrNotFound)
	secret := []byte("thirty-two bytes of a signing key")
	no(t, h.PutSecret("site/key", secret))
	h.reopen()
	if got := ok(h.Secret("site/key"))(t); !bytes.Equal(got, secret) {
		t.Errorf("the secret is %q", got)
	}
	for k, v := range ok(h.RawKeys("setting/"))(t) {
		if bytes.Contains(v, secret[:8]) {
			t.Errorf("%s is in the clear", k)
		}
		// One secret cannot stand in for another, and Check sees that.
		no(t, h.RawSet("setting/secret/other", v))
	}
	_, err = h.Secret("other")
	want(t, err, vault.ErrDamaged)
	want(t, h.Check(t.Context()), store.ErrCorrupt)
	no(t, h.RawDelete("setting/secret/other"))
}

// What arrives is there whole or not at all.
func TestArrival(t *testing.T) {
	h := open(t)
	h.base("m")
	arrival := store.Arrival{
		Adapters:    []store.Adapter{{Name: "ft:a", Base: "m", Path: "adapters/a"}, {Name: "ft:b", Base: "m", Path: "adapters/b"}},
		Evaluations: []store.Evaluation{{ID: "eval-1", Model: "ft:a", Baseline: "m", Split: store.Test, Report: []byte("{}")}},
		Origins:     []store.Origin{{Adapter: "ft:a", Site: "north", System: "Be kind.", Evaluations: map[string]string{"eval-1": "north"}}},
	}
	for what, spoil := range map[string]func(*store.Arrival){
		"a base that is not here":      func(a *store.Arrival) { a.Adapters[1].Base = "nobody" },
		"an evaluation of no model":    func(a *store.Arrival) { a.Evaluations[0].Model = "ft:c" },
		"an origin of no adapter":      func(a *store.Arrival) { a.Origins[0].Adapter = "ft:c" },
		"a name that is no name":       func(a *store.Arrival) { a.Adapters[0].Name = strings.Repeat("x", 600) },
		"the same evaluation twice":    func(a *store.Arrival) { a.Evaluations = append(a.Evaluations, a.Evaluations[0]) },
		"a split that does not exist ": func(a *store.Arrival) { a.Evaluations[0].Split = "other" },
	} {
		bad := arrival
		bad.Adapters = append([]store.Adapter(nil), arrival.Adapters...)
		bad.Evaluations = append([]store.Evaluation(nil), arrival.Evaluations...)
		bad.Origins = append([]store.Origin(nil), arrival.Origins...)
		spoil(&bad)
		if err := h.PutArrival(bad); err == nil {
			t.Errorf("%s: taken", what)
		}
		if all := ok(h.Adapters())(t); len(all) != 0 {
			t.Fatalf("%s: %d adapters are there", what, len(all))
		}
	}
	no(t, h.PutArrival(arrival))
	want(t, h.PutArrival(arrival), store.ErrExists)
	h.reopen()
	if o := ok(h.Origin("ft:a"))(t); o.Site != "north" || o.System != "Be kind." || o.ImportedAt.IsZero() {
		t.Errorf("origin %+v", o)
	}
	if list := ok(h.Evaluations("ft:a"))(t); len(list) != 1 || list[0].ID != "eval-1" {
		t.Errorf("evaluations %+v", list)
	}
	_, err := h.Origin("ft:b")
	want(t, err, store.ErrNotFound)
	no(t, h.DeleteAdapter("ft:a"))
	_, err = h.Origin("ft:a")
	want(t, err, store.ErrNotFound)
}
