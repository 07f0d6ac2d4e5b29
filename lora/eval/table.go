package eval

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// String gives the report as a table for a terminal, base and tuned side by
// side, without any text of the examples except the labels.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s, %d examples\n", r.Model, r.Source, r.Examples)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	t := table{w: w, r: r}
	if r.Base != nil {
		fmt.Fprintf(w, "\tbase\ttuned\tchange\t\n")
	} else {
		fmt.Fprintf(w, "\t%s\t\n", "value")
	}
	t.rows()
	_ = w.Flush() // a strings.Builder does not fail
	if r.Tuned.Labels != nil {
		b.WriteString(r.Tuned.Labels.String())
	}
	if h := r.Human; h != nil {
		fmt.Fprintf(&b, "Human scores (%s, %d examples): mean %.2f beside our %.2f (%s); agreement %.0f %%; Pearson %s, Spearman %s.\n",
			h.Scale, h.Examples, h.MeanHuman, h.MeanOurs, h.Metric, 100*h.Agreement, coefficient(h.Pearson), coefficient(h.Spearman))
	}
	if r.Overfitting != nil {
		fmt.Fprintln(&b, r.Overfitting.Text)
	}
	if r.Leak != nil {
		b.WriteString(r.Leak.String())
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(&b, "Warning:", warning)
	}
	return b.String()
}

func coefficient(r *float64) string {
	if r == nil {
		return "undefined"
	}
	return fmt.Sprintf("%.2f", *r)
}

// table writes rows of figures.
type table struct {
	w *tabwriter.Writer
	r Report
}

func (t table) rows() {
	base := Scores{}
	if t.r.Base != nil {
		base = *t.r.Base
	}
	if t.r.Tuned.Loss != nil {
		t.number("loss (nats per token)", base.Loss, *t.r.Tuned.Loss)
	}
	t.share("exact match", base.ExactMatch, t.r.Tuned.ExactMatch)
	t.share("token F1", base.TokenF1, t.r.Tuned.TokenF1)
	t.share("ROUGE-L", base.RougeL, t.r.Tuned.RougeL)
	if k := t.r.Tuned.KeyFacts; k != nil {
		var of Rate
		if base.KeyFacts != nil {
			of = *base.KeyFacts
		}
		t.share(fmt.Sprintf("key facts (of %d)", k.Of), of.Share(), k.Share())
	}
	if l := t.r.Tuned.Labels; l != nil {
		var of Labels
		if base.Labels != nil {
			of = *base.Labels
		}
		t.share("accuracy", of.Accuracy, l.Accuracy)
		t.share("macro precision", of.MacroPrecision, l.MacroPrecision)
		t.share("macro recall", of.MacroRecall, l.MacroRecall)
		t.share("macro F1", of.MacroF1, l.MacroF1)
	}
	if t.r.TrainLoss != nil {
		t.alone("loss on training examples", fmt.Sprintf("%.3f", *t.r.TrainLoss))
	}
	if gap, ok := t.r.Gap(); ok {
		t.alone("train-test gap", fmt.Sprintf("%.3f", gap))
	}
}

// number writes a figure of which less is better.
func (t table) number(name string, base *float64, tuned float64) {
	switch {
	case t.r.Base == nil:
		t.alone(name, fmt.Sprintf("%.3f", tuned))
	case base == nil:
		fmt.Fprintf(t.w, "%s\t-\t%.3f\t\t\n", name, tuned)
	default:
		fmt.Fprintf(t.w, "%s\t%.3f\t%.3f\t%+.3f\t\n", name, *base, tuned, tuned-*base)
	}
}

// share writes a figure of 0 to 1 in per cent.
func (t table) share(name string, base, tuned float64) {
	if t.r.Base == nil {
		t.alone(name, fmt.Sprintf("%.1f %%", 100*tuned))
		return
	}
	fmt.Fprintf(t.w, "%s\t%.1f %%\t%.1f %%\t%+.1f\t\n", name, 100*base, 100*tuned, 100*(tuned-base))
}

// alone writes a figure that only the tuned model has.
func (t table) alone(name, value string) {
	if t.r.Base != nil {
		fmt.Fprintf(t.w, "%s\t\t%s\t\t\n", name, value)
		return
	}
	fmt.Fprintf(t.w, "%s\t%s\t\n", name, value)
}

// String gives the classes as a table, with the commonest confusion of each.
func (l Labels) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "precision\trecall\tF1\texamples\t  label\n")
	for _, c := range l.Classes {
		mistaken, count := "", 0
		for other, n := range l.Confusion[c.Label] {
			if other != c.Label && (n > count || n == count && other < mistaken) {
				mistaken, count = other, n
			}
		}
		note := ""
		if count > 0 {
			note = fmt.Sprintf(" (%d× taken for %s)", count, mistaken)
		}
		fmt.Fprintf(w, "%.1f %%\t%.1f %%\t%.1f %%\t%d\t  %s%s\n", 100*c.Precision, 100*c.Recall, 100*c.F1, c.Support, c.Label, note)
	}
	_ = w.Flush() // a strings.Builder does not fail
	return b.String()
}
