package eval_test

import (
	"math"
	"slices"
	"testing"

	"cloister/lora/eval"
)

func TestWords(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \t\n…!?", nil},
		{"The Clinic opens at 9:30 a.m.", []string{"clinic", "opens", "at", "9:30", "am"}},
		{"It's 1,200 won, not 3.5.", []string{"its", "1200", "won", "not", "3.5"}},
		{"U.S.A. today", []string{"usa", "today"}},
		{"end.Start", []string{"end", "start"}},
		{"A", []string{"a"}}, // an article only where nothing else is left
		{"Call <PERSON_3>, please", []string{"call", "person_3", "please"}},
		{"3층 접수처", []string{"3", "층", "접", "수", "처"}},
		{"접수처 3 층", []string{"접", "수", "처", "3", "층"}},
		{"B동B", []string{"b", "동", "b"}},
		{"café", []string{"café"}}, // NFD becomes NFC
		{"STRASSE straße", []string{"strasse", "strasse"}},
		{"555-0100", []string{"555", "0100"}},
	} {
		if got := eval.Words(c.text); !slices.Equal(got, c.want) {
			t.Errorf("Words(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}

func TestExactMatch(t *testing.T) {
	for _, c := range []struct {
		expected, answer string
		want             bool
	}{
		{"Room 4.", "  room   4", true},
		{"the Room 4", "Room 4!", true},
		{"Room 4", "Room 41", false},
		{"3.5 mg", "35 mg", false},
		{"삼 층입니다.", "삼층 입니다", true},
		{"각", "각", true}, // NFD and NFC
		{"", "", true},
		{"", "x", false},
	} {
		if got := eval.ExactMatch(c.expected, c.answer); got != c.want {
			t.Errorf("ExactMatch(%q, %q) = %v", c.expected, c.answer, got)
		}
	}
}

func TestF1AndRouge(t *testing.T) {
	for _, c := range []struct {
		expected, answer string
		f1, rouge        float64
	}{
		{"", "", 1, 1},
		{"x", "", 0, 0},
		{"", "x", 0, 0},
		{"we open at nine", "we open at nine", 1, 1},
		{"we open at nine", "at nine we open", 1, 0.5}, // order counts for ROUGE-L only
		{"we open at nine", "we close at eight o'clock", 2 * 2.0 / 9, 2 * 2.0 / 9},
		{"nine", "nine nine nine", 0.5, 0.5}, // a bag, not a set
		{"병원은 3층", "병원이 3층", 0.8, 0.8},       // the particle costs one syllable of five
	} {
		if got := eval.TokenF1(c.expected, c.answer); math.Abs(got-c.f1) > 1e-12 {
			t.Errorf("TokenF1(%q, %q) = %g, want %g", c.expected, c.answer, got, c.f1)
		}
		if got := eval.RougeL(c.expected, c.answer); math.Abs(got-c.rouge) > 1e-12 {
			t.Errorf("RougeL(%q, %q) = %g, want %g", c.expected, c.answer, got, c.rouge)
		}
	}
}

// ROUGE-L can never exceed token F1: a common subsequence is a common bag.
func FuzzMetrics(f *testing.F) {
	f.Add("We open at 9.", "at 9 we open")
	f.Add("병원은 3층", "3층 <PERSON_1>")
	f.Add("\xff.'a.b.c", "e\u0301 1.,2")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 2000 || len(b) > 2000 {
			return
		}
		f1, rouge := eval.TokenF1(a, b), eval.RougeL(a, b)
		if f1 < 0 || f1 > 1 || rouge < 0 || rouge > f1+1e-12 {
			t.Fatalf("F1 %g, ROUGE-L %g", f1, rouge)
		}
		if eval.TokenF1(b, a) != f1 || eval.RougeL(b, a) != rouge {
			t.Fatal("not symmetric")
		}
		if eval.ExactMatch(a, b) && f1 != 1 {
			t.Fatal("an exact match without F1 of 1")
		}
		if eval.TokenF1(a, a) != 1 || !eval.ExactMatch(a, a) {
			t.Fatal("a text differs from itself")
		}
	})
}

func TestKeyHit(t *testing.T) {
	for _, c := range []struct {
		key, answer string
		want        bool
	}{
		{"Room 4", "Please go to room 4.", true},
		{"Room 4", "Please go to room 41.", false},
		{"Room 4", "Room number 4", false},
		{"9:30|half past nine", "We open at half past nine", true},
		{"9:30|half past nine", "We open at 9:30.", true},
		{"3시", "오후 3시에", true},
		{"3시", "13시", false},
		{"", "anything", false},
		{"|", "anything", false},
		{"|any thing", "any thing", true},
	} {
		if got := eval.KeyHit(c.key, c.answer); got != c.want {
			t.Errorf("KeyHit(%q, %q) = %v", c.key, c.answer, got)
		}
	}
}

func TestLoss(t *testing.T) {
	var l eval.Loss
	if _, ok := l.Mean(); ok {
		t.Error("a mean of nothing")
	}
	l.Add(2, 1)
	l.Add(2, 3)
	if mean, ok := l.Mean(); !ok || mean != 1 {
		t.Errorf("mean %g, want 1: over tokens, not examples", mean)
	}
	l.Add(math.NaN(), 1)
	if _, ok := l.Mean(); ok {
		t.Error("a loss that is no number was lost")
	}
}

func TestDetectLabels(t *testing.T) {
	repeat := func(n int, of ...string) (all []string) {
		for range n {
			all = append(all, of...)
		}
		return all
	}
	long := "this answer has clearly more than six units"
	for _, c := range []struct {
		name     string
		expected []string
		want     []string
	}{
		{"two classes", repeat(5, "refund", "Complaint "), []string{"refund", "Complaint"}},
		{"case and stops", repeat(5, "Yes.", "no", "yes", "No!"), []string{"Yes.", "no"}},
		{"Korean", repeat(5, "환불", "불만"), []string{"환불", "불만"}},
		{"too few examples", repeat(4, "yes", "no"), nil},
		{"one class", repeat(10, "yes"), nil},
		{"too few of each", append(repeat(2, "a1", "b1", "c1", "d1"), "a1", "b1"), nil},
		{"sentences", repeat(10, "yes", long), nil},
		{"an empty one", append(repeat(10, "yes", "no"), ""), nil},
	} {
		if got := eval.DetectLabels(c.expected); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLabelOf(t *testing.T) {
	labels := []string{"refund", "no refund", "complaint"}
	for answer, want := range map[string]string{
		"Refund.":                     "refund",
		"This is a refund.":           "refund",
		"It is no refund":             "no refund",
		"A refund or a complaint":     eval.Other,
		"I do not know":               eval.Other,
		"":                            eval.Other,
		"complaint":                   "complaint",
		"COMPLAINT, that is for sure": "complaint",
	} {
		if got := eval.LabelOf(answer, labels); got != want {
			t.Errorf("LabelOf(%q) = %q, want %q", answer, got, want)
		}
	}
}

// The figures were computed by hand from the confusion matrix
//
//	        a  b  other
//	a (4)   3  1  0
//	b (3)   1  1  1
//	c (1)   0  1  0
func TestClassify(t *testing.T) {
	expected := []string{"aa", "aa", "aa", "aa", "bb", "bb", "bb", "cc"}
	answers := []string{"aa", "AA", "aa.", "bb", "aa", "bb", "what?", "bb"}
	got := eval.Classify(expected, answers, []string{"aa", "bb", "cc"})
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s = %g, want %g", name, got, want)
		}
	}
	near("accuracy", got.Accuracy, 4.0/8)
	near("precision of aa", got.Classes[0].Precision, 3.0/4)
	near("recall of aa", got.Classes[0].Recall, 3.0/4)
	near("precision of bb", got.Classes[1].Precision, 1.0/3)
	near("recall of bb", got.Classes[1].Recall, 1.0/3)
	near("F1 of cc", got.Classes[2].F1, 0)
	near("macro precision", got.MacroPrecision, (3.0/4+1.0/3)/3)
	near("macro recall", got.MacroRecall, (3.0/4+1.0/3)/3)
	near("macro F1", got.MacroF1, (3.0/4+1.0/3)/3)
	if n := got.Confusion["bb"][eval.Other]; n != 1 {
		t.Errorf("%d times other, want 1", n)
	}
	if got.Classes[1].Support != 3 {
		t.Errorf("support %d, want 3", got.Classes[1].Support)
	}
}

// Worked by hand from the definitions.
func TestCorrelation(t *testing.T) {
	x, y := []float64{1, 2, 3, 4, 5}, []float64{2, 1, 4, 3, 5}
	if r, ok := eval.Pearson(x, y); !ok || math.Abs(r-0.8) > 1e-12 {
		t.Errorf("Pearson %g, want 0.8", r)
	}
	// Monotone but not linear: ranks agree, values do not.
	cubes := []float64{1, 8, 27, 64, 125}
	if r, _ := eval.Spearman(x, cubes); math.Abs(r-1) > 1e-12 {
		t.Errorf("Spearman %g, want 1", r)
	}
	if r, _ := eval.Pearson(x, cubes); math.Abs(r-0.9431175138077005) > 1e-12 {
		t.Errorf("Pearson %.16g", r)
	}
	// Ties share their mean rank: 1.5 1.5 3 4 against 1 2.5 2.5 4.
	if r, _ := eval.Spearman([]float64{1, 1, 2, 3}, []float64{0, 5, 5, 9}); math.Abs(r-3.75/4.5) > 1e-12 {
		t.Errorf("Spearman with ties %.16g, want %.16g", r, 3.75/4.5)
	}
	if _, ok := eval.Pearson([]float64{1, 2}, []float64{1, 2}); ok {
		t.Error("two points have no correlation")
	}
	if _, ok := eval.Pearson([]float64{0.1, 0.1, 0.1}, []float64{1, 2, 3}); ok {
		t.Error("a constant has no correlation")
	}
}

func TestCompareHuman(t *testing.T) {
	h := eval.CompareHuman([]float64{1, 3, 5, 5}, []float64{0, 0.4, 0.9, 1}, "token F1")
	if h.Scale != "1 to 5" || h.MeanHuman != 0.625 || math.Abs(h.MeanOurs-0.575) > 1e-12 {
		t.Errorf("%+v", h)
	}
	if h.Agreement != 0.75 { // they differ on the second: 0.5 is good, 0.4 is not
		t.Errorf("agreement %g, want 0.75", h.Agreement)
	}
	if h.Pearson == nil || *h.Pearson < 0.95 {
		t.Errorf("Pearson %v", h.Pearson)
	}
	for _, c := range []struct {
		scores []float64
		scale  string
	}{
		{[]float64{0, 1, 0.5}, "0 to 1"},
		{[]float64{0, 3, 5}, "0 to 5"},
		{[]float64{2, 7}, "0 to 10"},
		{[]float64{2, 70}, "0 to 100"},
		{[]float64{2, 700}, "0 to the highest score"},
	} {
		h := eval.CompareHuman(c.scores, make([]float64, len(c.scores)), "m")
		if h.Scale != c.scale || h.Pearson != nil {
			t.Errorf("%v: scale %q, Pearson %v", c.scores, h.Scale, h.Pearson)
		}
	}
	if eval.CompareHuman(nil, nil, "m") != nil {
		t.Error("a comparison of nothing")
	}
}
