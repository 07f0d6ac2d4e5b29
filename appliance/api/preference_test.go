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
