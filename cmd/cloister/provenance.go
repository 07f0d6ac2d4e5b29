package main

import (
	"encoding/json"
	"fmt"

	"cloister/appliance/bundle"
	"cloister/store"
)

// provenance describes where an imported adapter comes from, in pairs of a name and
// a value.
func provenance(o *store.Origin) ([]string, error) {
	var l bundle.Lineage
	if err := json.Unmarshal(o.Lineage, &l); err != nil {
		return nil, fmt.Errorf("where %s comes from does not read: %w", o.Adapter, err)
	}
	signed := o.Site
	if !o.Trusted {
		signed += " (not trusted when it was imported)"
	}
	pairs := []string{"from site", signed, "bundle", o.Bundle, "imported", clock(o.ImportedAt)}
	for i, h := range l.Sites {
		if i < len(l.Sites)-1 { // the last one signed the bundle
			pairs = append(pairs, "before", fmt.Sprintf("%s, key %s, %s", h.Name, h.Fingerprint, clock(h.ExportedAt)))
		}
	}
	if t := l.Training; t != nil {
		pairs = append(pairs, "trained on", fmt.Sprintf("%s@%d there, %s, fingerprint %s", t.Dataset.Name, t.Dataset.Version, plural(total(t.Dataset.Counts), "example"), t.Dataset.Fingerprint),
			"trained by", fmt.Sprintf("job %s, %d steps, learning rate %g, rank %d", t.Job, t.Steps, t.Resolved.LearningRate, t.Resolved.Rank))
	}
	for p := l.Parent; p != nil; p = p.Parent {
		pairs = append(pairs, "went on from", p.Adapter)
	}
	return pairs, nil
}

func total(counts map[store.Split]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}
