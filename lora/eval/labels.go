package eval

import (
	"slices"
	"strings"
)

// Other is the class of an answer that is none of the labels.
const Other = "(other)"

// Bounds of DetectLabels.
const (
	minLabelExamples = 10 // fewer say nothing about classes
	maxLabels        = 20
	minPerLabel      = 3 // examples for each label, on average
	maxLabelUnits    = 6 // units of the longest label
)

// DetectLabels returns the labels when the expected answers look like those of
// a classifier, and nil otherwise: at least 10 examples, 2 to 20 distinct
// answers, each of them at most 6 units long and on average the answer of at
// least 3 examples. A label is given in the form in which it first appears.
func DetectLabels(expected []string) []string {
	if len(expected) < minLabelExamples {
		return nil
	}
	seen := map[string]bool{}
	var labels []string
	for _, text := range expected {
		words := Words(text)
		if len(words) == 0 || len(words) > maxLabelUnits {
			return nil
		}
		form := strings.Join(words, " ")
		if seen[form] {
			continue
		}
		seen[form] = true
		labels = append(labels, strings.TrimSpace(text))
		if len(labels) > maxLabels {
			return nil
		}
	}
	if len(labels) < 2 || len(labels)*minPerLabel > len(expected) {
		return nil
	}
	return labels
}

// LabelOf reads the label out of an answer: the label that equals it, or else
// the only label that stands in it ("This is a refund." is "refund"), or else
// Other. A label that stands only inside a longer one that is there as well
// ("refund" in "no refund") does not count.
func LabelOf(answer string, labels []string) string {
	words := Words(answer)
	var found [][]string
	var names []string
	for _, label := range labels {
		form := Words(label)
		if slices.Equal(form, words) {
			return label
		}
		if contains(words, form) {
			found, names = append(found, form), append(names, label)
		}
	}
	match := ""
	for i := range found {
		inner := slices.ContainsFunc(found, func(o []string) bool {
			return len(o) > len(found[i]) && contains(o, found[i])
		})
		if inner {
			continue
		}
		if match != "" {
			return Other
		}
		match = names[i]
	}
	if match == "" {
		return Other
	}
	return match
}

// Labels are the figures of a classifier.
type Labels struct {
	Accuracy float64 `json:"accuracy"`
	// The macro figures are plain means over the classes that were expected.
	MacroPrecision float64 `json:"macro_precision"`
	MacroRecall    float64 `json:"macro_recall"`
	MacroF1        float64 `json:"macro_f1"`
	Classes        []Class `json:"classes"`
	// Confusion counts predictions: Confusion[expected][predicted]. Predicted
	// may be Other.
	Confusion map[string]map[string]int `json:"confusion"`
}

// Class holds the figures of one label. A figure whose denominator is zero is
// zero, as in scikit-learn.
type Class struct {
	Label     string  `json:"label"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	Support   int     `json:"support"` // examples that expect it
}

// Classify compares answers with expected labels, position by position; labels
// is what DetectLabels gave. It panics when the lengths differ.
func Classify(expected, answers, labels []string) Labels {
	if len(expected) != len(answers) {
		panic("eval: Classify: expected and answers differ in length")
	}
	result := Labels{Confusion: map[string]map[string]int{}}
	predicted := map[string]int{}
	right := 0
	for i, text := range expected {
		want, got := LabelOf(text, labels), LabelOf(answers[i], labels)
		if result.Confusion[want] == nil {
			result.Confusion[want] = map[string]int{}
		}
		result.Confusion[want][got]++
		predicted[got]++
		if want == got {
			right++
		}
	}
	for _, label := range labels {
		c := Class{Label: label}
		for _, n := range result.Confusion[label] {
			c.Support += n
		}
		if c.Support == 0 {
			continue
		}
		hits := result.Confusion[label][label]
		c.Recall = float64(hits) / float64(c.Support)
		if predicted[label] > 0 {
			c.Precision = float64(hits) / float64(predicted[label])
		}
		c.F1 = f1(hits, c.Support, predicted[label])
		result.Classes = append(result.Classes, c)
		result.MacroPrecision += c.Precision
		result.MacroRecall += c.Recall
		result.MacroF1 += c.F1
	}
	if n := float64(len(result.Classes)); n > 0 {
		result.MacroPrecision /= n
		result.MacroRecall /= n
		result.MacroF1 /= n
	}
	if len(expected) > 0 {
		result.Accuracy = float64(right) / float64(len(expected))
	}
	return result
}
