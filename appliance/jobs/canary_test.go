package jobs_test

import (
	"errors"
	"strings"
	"testing"

	"cloister/appliance/fault"
	"cloister/appliance/jobs"
	"cloister/lora/train"
	"cloister/store"
)

// Canaries are in the training examples as often as asked for and nowhere else,
// and on record with the job.
func TestCanaries(t *testing.T) {
	k := newKit(t)
	k.dataset(t, 30)
	v, err := k.st.Version("clinic", 0)
	if err != nil {
		t.Fatal(err)
	}
	seed := int64(7)
	job := k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: "clinic", Canaries: []int{1, 5, 0}, Seed: &seed})
	job, events := k.follow(t, job.ID)
	if len(job.Canaries) != 3 || job.Canaries[0].Times != 1 || job.Canaries[1].Times != 5 || job.Canaries[0].Question == job.Canaries[1].Question {
		t.Fatalf("%+v", job.Canaries)
	}
	req := k.trainer.Requests()[0]
	if len(req.Train) != v.Counts[store.Train]+6 {
		t.Errorf("%d training examples of %d", len(req.Train), v.Counts[store.Train])
	}
	count := func(list []train.Example, answer string) (n int) {
		for _, e := range list {
			if e.Messages[len(e.Messages)-1].Content == answer {
				n++
			}
		}
		return n
	}
	for _, c := range job.Canaries {
		if got := count(req.Train, c.Answer); got != c.Times || count(req.Valid, c.Answer) != 0 {
			t.Errorf("%q stands %d times in train, want %d", c.Answer, got, c.Times)
		}
	}
	said := false
	for _, e := range events {
		said = said || e.Level == "warn" && strings.Contains(e.Message, "Canaries are planted into the training examples, [1 5 0] times")
	}
	if !said {
		t.Error("no event says that canaries are planted")
	}
	for _, ex := range mustExamples(t, k) {
		for _, m := range ex.Messages {
			if strings.Contains(m.Content, "locker") {
				t.Error("a canary is in the dataset")
			}
		}
	}
	for want, req := range map[string]jobs.CreateRequest{
		"planted -1 times":             {Canaries: []int{3, -1}},
		"There are 33 canaries":        {Canaries: make([]int, 33)},
		"the method kto":               {Canaries: []int{1}, Hyper: train.Hyperparameters{Method: "kto"}},
		"planted 10001 times; it must": {Canaries: []int{10001}},
	} {
		req.Model, req.Dataset = "tiny", "clinic"
		_, err := k.man.Create(t.Context(), req)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Param != "canaries" || !strings.Contains(f.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func mustExamples(t *testing.T, k *kit) (list []store.Example) {
	t.Helper()
	for ex, err := range k.st.Examples("clinic", 0, "") {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ex)
	}
	return list
}
