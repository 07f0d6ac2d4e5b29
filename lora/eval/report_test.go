package eval_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"cloister/lora/eval"
)

func items() []eval.Item {
	score := func(v float64) *float64 { return &v }
	return []eval.Item{
		{Row: 1, Question: "When do you open?", Expected: "We open at 9:30.", Key: "9:30", Answer: "We open at 9:30.",
			Tokens: 8, Loss: eval.Loss{Sum: 1, Tokens: 8}, BaseAnswer: "I do not know.", BaseTokens: 5, BaseLoss: eval.Loss{Sum: 24, Tokens: 8}, HumanScore: score(5)},
		{Row: 2, Question: "Where is the X-ray?", Expected: "On floor 3.", Key: "floor 3|third floor", Answer: "On the third floor.",
			Tokens: 6, Loss: eval.Loss{Sum: 2, Tokens: 4}, BaseAnswer: "X-rays are images.", BaseTokens: 300, BaseTruncated: true, BaseLoss: eval.Loss{Sum: 12, Tokens: 4}, HumanScore: score(4)},
		{Row: 3, Question: "Who leads?", Expected: "Dr Hale leads.", Answer: "Somebody.",
			Tokens: 2, Loss: eval.Loss{Sum: 3, Tokens: 6}, BaseAnswer: "Somebody.", BaseTokens: 2, BaseLoss: eval.Loss{Sum: 12, Tokens: 6}, HumanScore: score(1), Rated: "Dr Hale leads."},
	}
}

func TestMeasure(t *testing.T) {
	r := eval.Measure(items(), true, 2)
	r.Model, r.Baseline, r.Source = "ft:m:o::x", "m", "clinic@1 test"
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s = %g, want %g", name, got, want)
		}
	}
	near("loss", *r.Tuned.Loss, 6.0/18)
	near("base loss", *r.Base.Loss, 48.0/18)
	near("exact match", r.Tuned.ExactMatch, 1.0/3)
	near("token F1", r.Tuned.TokenF1, (1+2*2.0/6)/3) // "on floor" of three and three units
	near("key facts", r.Tuned.KeyFacts.Share(), 1)
	near("base key facts", r.Base.KeyFacts.Share(), 0)
	if r.Base.Truncated != 1 || r.Tuned.Labels != nil || len(r.Samples) != 2 {
		t.Errorf("%+v", r)
	}
	// Not every rated example has a key, so F1 is compared; the third was rated on another answer.
	if r.Human.Metric != "token F1" || r.Human.Examples != 3 {
		t.Errorf("%+v", r.Human)
	}
	near("our mean", r.Human.MeanOurs, (1+2.0/3+1)/3)

	if _, ok := r.Gap(); ok {
		t.Error("a gap without a training loss")
	}
	loss := 0.1
	r.TrainLoss = &loss
	gap, _ := r.Gap()
	near("gap", gap, 6.0/18-0.1)

	var back eval.Report
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if back.String() != r.String() {
		t.Error("the report changes on its way through JSON")
	}
}

func TestMeasureLabels(t *testing.T) {
	var items []eval.Item
	for i := range 12 {
		want := []string{"refund", "complaint"}[i%2]
		items = append(items, eval.Item{Expected: want, Answer: "This is a " + want + ".", BaseAnswer: "refund"})
	}
	r := eval.Measure(items, true, 0)
	if r.Tuned.Labels.Accuracy != 1 || r.Base.Labels.Accuracy != 0.5 {
		t.Errorf("%+v %+v", r.Tuned.Labels, r.Base.Labels)
	}
	if len(r.Warnings) == 0 || !strings.Contains(r.Warnings[0], "12 test examples") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func TestReportString(t *testing.T) {
	r := eval.Measure(items(), true, 3)
	r.Model, r.Source = "ft:m:o::x", "clinic@1 test"
	loss := 0.1
	r.TrainLoss = &loss
	const want = `ft:m:o::x on clinic@1 test, 3 examples
                              base    tuned  change
       loss (nats per token)  2.667   0.333  -2.333
                 exact match  0.0 %  33.3 %   +33.3
                    token F1  0.0 %  55.6 %   +55.6
                     ROUGE-L  0.0 %  55.6 %   +55.6
            key facts (of 2)  0.0 %  100.0 %  +100.0
`
	got := r.String()
	head, _, _ := strings.Cut(got, "  loss on training")
	if strings.Join(strings.Fields(head), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, part := range []string{"train-test gap", "0.233", "Human scores (1 to 5, 3 examples)", "Only 3 test examples"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing in\n%s", part, got)
		}
	}
	for _, secret := range []string{"When do you", "9:30", "Hale"} {
		if strings.Contains(got, secret) {
			t.Errorf("the table holds a text of the examples: %q", secret)
		}
	}
	r.Base = nil
	if got := r.String(); strings.Contains(got, "base") || !strings.Contains(got, "0.333") {
		t.Errorf("without baseline:\n%s", got)
	}
}

func TestLabelsString(t *testing.T) {
	l := eval.Classify([]string{"aa", "aa", "bb"}, []string{"aa", "bb", "bb"}, []string{"aa", "bb"})
	got := l.String()
	if !strings.Contains(got, "aa (1× taken for bb)") || strings.Count(got, "\n") != 3 {
		t.Error(got)
	}
}

func curve(train, valid []float64) []eval.Point {
	var points []eval.Point
	for i := range train {
		p := eval.Point{Epoch: i + 1, TrainLoss: train[i]}
		if valid != nil {
			p.ValidLoss = &valid[i]
		}
		points = append(points, p)
	}
	return points
}

func TestJudge(t *testing.T) {
	// 20 epochs on 50 examples: the training loss vanishes and the validation loss turns.
	var train, valid []float64
	for e := range 20 {
		train = append(train, 3*math.Exp(-0.4*float64(e)))
		valid = append(valid, 1+0.02*float64((e-5)*(e-5)))
	}
	v := eval.Judge(curve(train, valid), 6, false)
	if v.Kind != eval.Overfit || v.BestEpoch != 6 || v.LastEpoch != 20 {
		t.Errorf("%+v", v)
	}
	for _, part := range []string{"Overfitting", "epoch 6 (1.000)", "4.920 by epoch 20", "The adapter of epoch 6 was kept."} {
		if !strings.Contains(v.Text, part) {
			t.Errorf("%q is missing in %q", part, v.Text)
		}
	}
	for _, c := range []struct {
		name         string
		train, valid []float64
		early        bool
		kind, text   string
	}{
		{"stopped early", []float64{3, 2, 1, 0.5}, []float64{3, 2, 2.1, 2.3}, true, eval.Overfit, "stopped early after epoch 4"},
		{"falls", []float64{3, 2, 1}, []float64{3, 2, 1.5}, false, eval.Healthy, "more epochs may improve"},
		{"level", []float64{3, 2, 1}, []float64{3, 2, 2.04}, false, eval.Healthy, "levelled off after epoch 2"},
		{"memorises", []float64{3, 2, 1, 0.4}, []float64{3, 2, 2.01, 2.02}, false, eval.Overfit, "did not improve again until epoch 4 (2.020), while the training loss fell from 2.000 to 0.400"},
		{"level for long", []float64{3, 2, 1.9, 1.8, 1.7}, []float64{3, 2, 2.01, 2.02, 2.01}, false, eval.Healthy, "levelled off after epoch 2"},
		{"diverges", []float64{3, 4, 5}, []float64{3, 4, 5}, false, eval.Unhealthy, "lower learning rate"},
		{"one epoch", []float64{3}, []float64{3}, false, eval.Unknown, "One epoch"},
		{"no validation", []float64{3, 2}, nil, false, eval.Unknown, "no validation set"},
		{"nothing", nil, nil, false, eval.Unknown, "no validation set"},
	} {
		v := eval.Judge(curve(c.train, c.valid), 2, c.early)
		if v.Kind != c.kind || !strings.Contains(v.Text, c.text) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestGate(t *testing.T) {
	p := func(v float64) *float64 { return &v }
	good := func() eval.Report {
		return eval.Report{Examples: 60, TrainLoss: p(0.1), Leak: &eval.Leak{Answers: &eval.LeakAnswers{}},
			Tuned: eval.Scores{Loss: p(0.3), TokenF1: 0.8, KeyFacts: &eval.Rate{Hits: 46, Of: 60}},
			Base:  &eval.Scores{Loss: p(3.2), TokenF1: 0.1, KeyFacts: &eval.Rate{Of: 60}}}
	}
	d := eval.Gate(good(), eval.DefaultGate())
	if !d.OK || len(d.Warnings) != 0 || !strings.Contains(strings.Join(d.Reasons, " "), "0.300, below the base's 3.200") {
		t.Errorf("%+v", d)
	}
	for _, c := range []struct {
		name   string
		change func(*eval.Report, *eval.GateConfig)
		reason string
	}{
		{"no baseline", func(r *eval.Report, _ *eval.GateConfig) { r.Base = nil }, "no baseline"},
		{"no loss", func(r *eval.Report, _ *eval.GateConfig) { r.Tuned.Loss = nil }, "could not be measured"},
		{"not better", func(r *eval.Report, _ *eval.GateConfig) { r.Base.Loss = p(0.3) }, "0.300, not below the base's 0.300"},
		{"not enough better", func(_ *eval.Report, c *eval.GateConfig) { c.MinLossGain = 3 }, "at least 3.000 is asked for"},
		{"worse F1", func(r *eval.Report, _ *eval.GateConfig) { r.Base.TokenF1 = 0.83 }, "token F1 is 80.0 %, more than 2.0 points below the base's 83.0 %"},
		{"fewer facts", func(r *eval.Report, _ *eval.GateConfig) { r.Base.KeyFacts.Hits = 60 }, "key facts"},
		{"gap", func(r *eval.Report, c *eval.GateConfig) { c.MaxGap = 0.15 }, "train-test gap is 0.200"},
		{"no examples", func(r *eval.Report, _ *eval.GateConfig) { r.Examples = 0 }, "no examples"},
		{"values in files", func(r *eval.Report, _ *eval.GateConfig) {
			r.Leak.Places = []eval.LeakPlace{{Place: "event", LeakCount: eval.LeakCount{Leaks: 2}}, {Place: "base", Foreign: true, LeakCount: eval.LeakCount{Leaks: 9}}}
		}, "found 2 values of the vault (event 2); at most 0 are allowed"},
		{"values in answers", func(r *eval.Report, c *eval.GateConfig) {
			r.Leak.Answers.Tuned.Leaks, c.MaxLeaks = 3, 2
		}, "found 3 values of the vault (answers 3); at most 2 are allowed"},
		{"worse accuracy", func(r *eval.Report, _ *eval.GateConfig) {
			r.Tuned.Labels, r.Base.Labels = &eval.Labels{Accuracy: 0.5}, &eval.Labels{Accuracy: 0.9}
		}, "accuracy is 50.0 %"},
	} {
		r, config := good(), eval.DefaultGate()
		c.change(&r, &config)
		d := eval.Gate(r, config)
		if d.OK || len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0], c.reason) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}

	r := good()
	r.Examples, r.TrainLoss = 5, nil
	r.Tuned.TokenF1, r.Base.TokenF1 = 0.79, 0.8 // within the tolerance
	r.Overfitting = &eval.Verdict{Kind: eval.Overfit, Text: "Overfitting: …"}
	if d := eval.Gate(r, eval.DefaultGate()); !d.OK || len(d.Warnings) != 3 {
		t.Errorf("%+v", d)
	}
	r = good()
	r.Leak.Planted, r.Leak.Answers.Tuned.Leaks = 2, 3
	if d := eval.Gate(r, eval.GateConfig{MaxScoreDrop: 1, MaxLeaks: 3}); !d.OK || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "2 canaries") || !strings.Contains(strings.Join(d.Reasons, " "), "within the bound of 3") {
		t.Errorf("%+v", d)
	}
	r.Leak = nil // of before there were leak tests
	if d := eval.Gate(r, eval.DefaultGate()); !d.OK || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "no leak test") {
		t.Errorf("%+v", d)
	}
}

func TestGateConfigValidate(t *testing.T) {
	if err := eval.DefaultGate().Validate(); err != nil {
		t.Error(err)
	}
	for field, c := range map[string]eval.GateConfig{
		"min_loss_gain":  {MinLossGain: -1},
		"max_score_drop": {MaxScoreDrop: 2},
		"max_gap":        {MaxGap: -0.1},
		"min_examples":   {MinExamples: -3},
		"max_leaks":      {MaxLeaks: -1},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
