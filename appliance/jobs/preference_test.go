package jobs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cloister/appliance/datasets"
	"cloister/appliance/fault"
	"cloister/appliance/jobs"
	"cloister/lora/train"
)

// prefs imports n pairs, and judged n answers with labels.
func (k *kit) prefs(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"input":{"messages":[{"role":"user","content":"Where is hall %d?"}]},"preferred_output":[{"role":"assistant","content":"On floor %d."}],"non_preferred_output":[{"role":"assistant","content":"Somewhere, %d."}]}`+"\n", i, i%7, i)
	}
	v, err := k.sets.Import(t.Context(), datasets.ImportRequest{Name: "prefs", FileName: "prefs.jsonl"}, strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return v.Dataset
}

// A method gets what it can learn from, and the log has its metrics by TRL's names.
func TestPreferenceJob(t *testing.T) {
	k := newKit(t)
	k.dataset(t, 30)
	k.prefs(t, 30)
	job := k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: "prefs", Hyper: train.Hyperparameters{Method: "dpo", Beta: 0.3}})
	_, events := k.follow(t, job.ID)
	steps, validations := 0, 0
	for _, e := range events {
		if e.Type != "metrics" {
			continue
		}
		var d map[string]any
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		steps++
		if d["rewards/chosen"] != 0.25 || d["rewards/rejected"] != -0.5 || d["rewards/margins"] != 0.75 || d["rewards/accuracies"] != 0.5 || d["kl"] != 0.5 || d["train_mean_token_accuracy"] != nil {
			t.Fatalf("metrics %s", e.Data)
		}
		if d["valid_loss"] != nil {
			validations++
			if d["valid_rewards/margins"] != 0.75 || d["valid_rewards/accuracies"] != 0.5 || d["valid_mean_token_accuracy"] != nil {
				t.Fatalf("metrics %s", e.Data)
			}
		}
	}
	if steps == 0 || validations == 0 {
		t.Errorf("metrics of %d steps and %d validations", steps, validations)
	}
	for _, c := range []struct{ dataset, method, want string }{{"clinic", "dpo", "preference pairs"}, {"clinic", "kto", "judged answers"}} {
		_, err := k.man.Create(t.Context(), jobs.CreateRequest{Model: "tiny", Dataset: c.dataset, Hyper: train.Hyperparameters{Method: c.method}})
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Param != "dataset" || !strings.Contains(f.Message, c.want) {
			t.Errorf("%s on %s: %v", c.method, c.dataset, err)
		}
	}
	for _, method := range []string{"", "kto"} {
		job := k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: "prefs", Hyper: train.Hyperparameters{Method: method}})
		if job, _ = k.follow(t, job.ID); job.Error != nil {
			t.Errorf("method %q: %+v", method, job.Error)
		}
	}
	if got := k.trainer.Requests()[0].Train[0]; got.Rejected == "" {
		t.Error("the trainer does not get the rejected answer")
	}
}
