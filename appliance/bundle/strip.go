package bundle

import (
	"encoding/json"
	"fmt"
	"strings"

	"cloister/lora/eval"
	"cloister/store"
)

// stripped returns the report of an evaluation as it may leave the site: without
// samples, places of leaks, names of files, and, unless samples are wanted,
// labels, which are texts of examples too.
func stripped(e *store.Evaluation, samples bool) (json.RawMessage, error) {
	var r eval.Report
	if err := json.Unmarshal(e.Report, &r); err != nil {
		return nil, fmt.Errorf("the report of %s: %w", e.ID, err)
	}
	if e.Dataset == "" {
		r.Source = "a file"
		if e.Split != "" {
			r.Source += ", " + string(e.Split)
		}
	}
	if l := r.Leak; l != nil {
		l.Found = nil // tokens and paths of this site; the counts tell enough
		for i := range l.Places {
			// A path that somebody asked to search is named behind the kind.
			if kind, _, ok := strings.Cut(l.Places[i].Place, " /"); ok {
				l.Places[i].Place = kind + " elsewhere"
			}
		}
	}
	if !samples {
		r.Samples = nil
		names := map[string]string{eval.Other: eval.Other}
		anonymise(r.Tuned.Labels, names)
		if r.Base != nil {
			anonymise(r.Base.Labels, names)
		}
	}
	return json.Marshal(r)
}

// anonymise gives labels the names "label 1", "label 2" and so on, the same for
// the same label.
func anonymise(l *eval.Labels, names map[string]string) {
	if l == nil {
		return
	}
	name := func(label string) string {
		if names[label] == "" {
			names[label] = fmt.Sprintf("label %d", len(names)) // Other is one of them
		}
		return names[label]
	}
	for i := range l.Classes {
		l.Classes[i].Label = name(l.Classes[i].Label)
	}
	confusion := map[string]map[string]int{}
	for expected, row := range l.Confusion {
		out := map[string]int{}
		for predicted, n := range row {
			out[name(predicted)] += n
		}
		confusion[name(expected)] = out
	}
	l.Confusion = confusion
}
