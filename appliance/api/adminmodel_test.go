package api_test

import (
	"testing"

	"cloister/appliance/admin"
	"cloister/appliance/client"
	"cloister/appliance/models"
)

// A name leads to a model with the system prompt that it was tuned with.
func TestAdminModel(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.dataset(t, 60)
	job := f.tune(t)
	if _, err := f.control.Deploy(ctx, admin.Deploy{Model: job.Adapter, Alias: "support", Force: true}); err != nil {
		t.Fatal(err)
	}
	const system = "You are the front desk."
	for _, want := range []struct{ name, canonical, kind, target, system string }{
		{"", base, models.KindBase, base, ""},
		{"gpt-4o", base, models.KindBase, base, ""},
		{base, base, models.KindBase, base, ""},
		{job.Adapter, job.Adapter, models.KindAdapter, job.Adapter, system},
		{"support", "support", models.KindAlias, job.Adapter, system},
	} {
		m, err := f.control.Model(ctx, want.name)
		if err != nil || m.Name != want.canonical || m.Kind != want.kind || m.Target != want.target || m.System != want.system || m.BaseModel.Name != base {
			t.Errorf("%q: %+v, %v", want.name, m, err)
		}
	}
	if _, err := f.control.Model(ctx, "nobody"); !client.CodeIs(err, "model_not_found") {
		t.Errorf("%v", err)
	}
}
