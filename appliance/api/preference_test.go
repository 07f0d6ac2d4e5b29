package api_test

import (
	"fmt"
	"strings"
	"testing"

	"cloister/appliance/openai"
)

// pairs are n preference pairs, as OpenAI's guide writes them.
func pairs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"input":{"messages":[{"role":"user","content":"Where is room %d?"}],"tools":[],"parallel_tool_calls":true},"preferred_output":[{"role":"assistant","content":"On floor %d."}],"non_preferred_output":[{"role":"assistant","content":"Look for it, %d."}]}`+"\n", i, i%7, i)
	}
	return b.String()
}

// A script for OpenAI's DPO works as it is.
func TestDPOJob(t *testing.T) {
	f := newFixture(t)
	var file openai.File
	f.upload(t, "purpose", "fine-tune", "file", pairs(12)).ok(t, &file)
	job := f.job(t, "training_file", file.ID, "method", map[string]any{"type": "dpo", "dpo": map[string]any{"hyperparameters": map[string]any{"beta": 0.2, "n_epochs": 1}}})
	if job.Method.Type != "dpo" || job.Method.Supervised != nil || job.Method.DPO == nil || job.Method.DPO.Hyperparameters.Beta.Value != 0.2 {
		t.Errorf("%+v", job.Method)
	}
	if job = f.wait(t, job.ID); job.Status != "succeeded" || job.Method.Type != "dpo" {
		t.Errorf("%+v", job)
	}
	// Chat is not enough.
	job = f.wait(t, f.job(t, "method", map[string]any{"type": "dpo"}).ID)
	if job.Status != "failed" || job.Error == nil || *job.Error.Param != "training_file" || !strings.Contains(job.Error.Message, "preferred_output") {
		t.Errorf("%+v %+v", job.Status, job.Error)
	}
}

// KTO is an extension: a request names it, its job has the type that clients know
// and a block of its own besides. It learns from judged answers and from pairs.
func TestKTOJob(t *testing.T) {
	f := newFixture(t)
	var judged strings.Builder
	for i := range 12 {
		fmt.Fprintf(&judged, `{"messages":[{"role":"user","content":"Where is room %d?"},{"role":"assistant","content":"On floor %d."}],"label":%v}`+"\n", i, i%7, i%2 == 0)
	}
	for _, text := range []string{judged.String(), pairs(12)} {
		var file openai.File
		f.upload(t, "purpose", "fine-tune", "file", text).ok(t, &file)
		job := f.job(t, "training_file", file.ID, "method", map[string]any{"type": "kto", "kto": map[string]any{"hyperparameters": map[string]any{"beta": 0.2, "desirable_weight": 1.5, "n_epochs": 1}}})
		job = f.wait(t, job.ID)
		m := job.Method
		if job.Status != "succeeded" || m.Type != "dpo" || m.Supervised != nil || m.DPO == nil || m.KTO == nil || m.KTO.Hyperparameters.DesirableWeight.Value != 1.5 || m.KTO.Hyperparameters.Beta.Value != 0.2 {
			t.Errorf("%s %+v", job.Status, m)
		}
		all := f.trainer.Requests()
		if h := all[len(all)-1].Hyperparameters; h.Method != "kto" || h.Beta != 0.2 || h.DesirableWeight != 1.5 || h.Epochs != 1 {
			t.Errorf("the trainer was asked for %+v", h)
		}
	}
	job := f.wait(t, f.job(t, "method", map[string]any{"type": "kto"}).ID)
	if job.Status != "failed" || *job.Error.Param != "training_file" || !strings.Contains(job.Error.Message, "label") {
		t.Errorf("%+v %+v", job.Status, job.Error)
	}
}
