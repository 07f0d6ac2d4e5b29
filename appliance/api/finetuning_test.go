package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"cloister/appliance/openai"
	"cloister/lora/train"
)

// trainingFile uploads examples and returns the file's id.
func (f *fixture) trainingFile(t *testing.T, n int) string {
	t.Helper()
	var file openai.File
	f.upload(t, "purpose", "fine-tune", "file", examples(n)).ok(t, &file)
	return file.ID
}

// job starts a job; fields are name, value, ….
func (f *fixture) job(t *testing.T, fields ...any) openai.Job {
	t.Helper()
	body := map[string]any{"model": base, "training_file": f.trainingFile(t, 12)}
	for i := 0; i < len(fields); i += 2 {
		body[fields[i].(string)] = fields[i+1]
	}
	var out openai.Job
	f.do("POST", "/v1/fine_tuning/jobs", body).ok(t, &out)
	return out
}

// wait polls a job until it has ended.
func (f *fixture) wait(t *testing.T, id string) openai.Job {
	t.Helper()
	var out openai.Job
	if !eventually(func() bool {
		f.do("GET", "/v1/fine_tuning/jobs/"+id, nil).ok(t, &out)
		return out.FinishedAt != nil
	}) {
		t.Fatalf("the job did not end: %+v", out)
	}
	return out
}

func TestJobLife(t *testing.T) {
	f := newFixture(t)
	f.block()
	validation := f.trainingFile(t, 10)
	job := f.job(t, "suffix", "desk", "seed", 7, "metadata", map[string]string{"team": "a"}, "validation_file", validation,
		"method", map[string]any{"type": "supervised", "supervised": map[string]any{"hyperparameters": map[string]any{"n_epochs": "auto", "batch_size": 8}},
			"dpo": map[string]any{"hyperparameters": map[string]any{"beta": 0.1}}},
		"hyperparameters", map[string]any{"n_epochs": 5})
	if !strings.HasPrefix(job.ID, "ftjob-") || job.Status != "validating_files" || job.Seed != 7 || job.Metadata["team"] != "a" || *job.ValidationFile != validation {
		t.Errorf("%+v", job)
	}
	if job.FineTunedModel != nil || job.FinishedAt != nil || job.TrainedTokens != nil || job.Error != nil || *job.Suffix != "desk" {
		t.Errorf("%+v", job)
	}
	if job.Hyperparameters.NEpochs.Set || job.Hyperparameters.BatchSize.Value != 8 || job.Method.Supervised.Hyperparameters.BatchSize.Value != 8 {
		t.Errorf("the method's block did not win: %+v", job.Hyperparameters)
	}
	if !eventually(func() bool {
		f.do("GET", "/v1/fine_tuning/jobs/"+job.ID, nil).ok(t, &job)
		return job.Status == "running"
	}) {
		t.Fatalf("%+v", job)
	}
	f.release()
	job = f.wait(t, job.ID)
	if job.Status != "succeeded" || *job.TrainedTokens != 240 || len(job.ResultFiles) != 1 {
		t.Fatalf("%+v", job)
	}
	if h := job.Hyperparameters; h.NEpochs.Value != 2 || h.BatchSize.Value != 8 || h.LearningRateMultiplier.Value != 1 {
		t.Errorf("resolved: %+v", h)
	}
	name := *job.FineTunedModel
	if !strings.HasPrefix(name, "ft:"+base+":clinic:desk:") {
		t.Error(name)
	}
	csv := f.do("GET", "/v1/files/"+job.ResultFiles[0]+"/content", nil)
	if csv.ok(t, nil); !strings.HasPrefix(string(csv.body), "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n") {
		t.Errorf("%s", csv.body)
	}
	var answer openai.ChatCompletion
	f.do("POST", "/v1/chat/completions", ask("who", "model", name)).ok(t, &answer)
	if got := *answer.Choices[0].Message.Content; got != "adapter "+name || answer.Model != name {
		t.Errorf("%q by %q", got, answer.Model)
	}
	f.do("POST", "/v1/fine_tuning/jobs/"+job.ID+"/cancel", nil).refused(t, 400, "id", "")
}

func TestJobEvents(t *testing.T) {
	f := newFixture(t)
	job := f.wait(t, f.job(t, "integrations", []any{map[string]any{"type": "wandb", "wandb": map[string]string{"project": "p"}}}).ID)
	var whole openai.Page[openai.Event]
	f.do("GET", "/v1/fine_tuning/jobs/"+job.ID+"/events?limit=1000", nil).ok(t, &whole)
	if whole.HasMore || len(whole.Data) < 10 {
		t.Fatalf("%d events, has_more %v", len(whole.Data), whole.HasMore)
	}
	if first := whole.Data[len(whole.Data)-1]; first.Message != "Created fine-tuning job: "+job.ID {
		t.Errorf("the oldest event is %+v; the newest must come first", first)
	}
	text := ""
	metrics := 0
	for _, e := range whole.Data {
		text += e.Level + " " + e.Message + "\n"
		if e.Type == "metrics" {
			metrics++
			var data struct {
				Step       int     `json:"step"`
				TotalSteps int     `json:"total_steps"`
				TrainLoss  float64 `json:"train_loss"`
			}
			if err := json.Unmarshal(e.Data, &data); err != nil || data.TotalSteps != 4 || data.Step == 0 {
				t.Errorf("%s", e.Data)
			}
		}
	}
	for _, want := range []string{"info New fine-tuned model created: " + *job.FineTunedModel, "info The job has successfully completed", "warn Integrations are ignored"} {
		if !strings.Contains(text, want) {
			t.Errorf("no event %q in\n%s", want, text)
		}
	}
	if metrics < 4 {
		t.Errorf("%d metrics events", metrics)
	}
	// Paging by the last id gives the same events.
	var seen []string
	after := ""
	for {
		var page openai.Page[openai.Event]
		f.do("GET", "/v1/fine_tuning/jobs/"+job.ID+"/events?limit=3&after="+after, nil).ok(t, &page)
		for _, e := range page.Data {
			seen = append(seen, e.ID)
			after = e.ID
		}
		if !page.HasMore {
			break
		}
	}
	if len(seen) != len(whole.Data) || seen[0] != whole.Data[0].ID || seen[len(seen)-1] != whole.Data[len(whole.Data)-1].ID {
		t.Errorf("%d events by pages, %d at once", len(seen), len(whole.Data))
	}
	f.do("GET", "/v1/fine_tuning/jobs/"+job.ID+"/events?after=ftevent-nobody", nil).refused(t, 404, "after", "")
	f.do("GET", "/v1/fine_tuning/jobs/ftjob-nobody/events", nil).refused(t, 404, "id", "")
}

func TestJobCheckpoints(t *testing.T) {
	f := newFixture(t)
	job := f.wait(t, f.job(t, "validation_file", f.trainingFile(t, 10)).ID)
	path := "/v1/fine_tuning/jobs/" + job.ID + "/checkpoints"
	var page openai.CheckpointPage
	f.do("GET", path, nil).ok(t, &page)
	if len(page.Data) != 3 || page.HasMore || *page.FirstID != page.Data[0].ID || *page.LastID != page.Data[2].ID {
		t.Fatalf("%+v", page)
	}
	if page.Data[0].FineTunedModelCheckpoint != *job.FineTunedModel || page.Data[2].FineTunedModelCheckpoint != *job.FineTunedModel+":ckpt-step-2" {
		t.Errorf("%+v", page.Data)
	}
	if c := page.Data[2]; c.StepNumber != 2 || c.Metrics["train_loss"] != 1.5 || c.Metrics["full_valid_loss"] != 2 || c.FineTuningJobID != job.ID {
		t.Errorf("%+v", c)
	}
	var one openai.CheckpointPage
	f.do("GET", path+"?limit=1", nil).ok(t, &one)
	if len(one.Data) != 1 || !one.HasMore {
		t.Errorf("%+v", one)
	}
	f.do("GET", path+"?limit=1&after="+*one.LastID, nil).ok(t, &one)
	if len(one.Data) != 1 || !one.HasMore || one.Data[0].ID != page.Data[1].ID {
		t.Errorf("%+v", one)
	}
	f.do("GET", path+"?limit=1&after="+*one.LastID, nil).ok(t, &one)
	if len(one.Data) != 1 || one.HasMore || one.Data[0].ID != page.Data[2].ID {
		t.Errorf("%+v", one)
	}
	f.do("GET", path+"?after=ftckpt_nobody", nil).refused(t, 404, "after", "")
	var answer openai.ChatCompletion
	f.do("POST", "/v1/chat/completions", ask("who", "model", page.Data[1].FineTunedModelCheckpoint)).ok(t, &answer)

	empty := f.job(t, "training_file", f.trainingFile(t, 3))
	f.do("GET", "/v1/fine_tuning/jobs/"+empty.ID+"/checkpoints", nil).ok(t, &page)
	if len(page.Data) != 0 || page.FirstID != nil {
		t.Errorf("%+v", page)
	}
}

func TestJobFails(t *testing.T) {
	f := newFixture(t)
	job := f.wait(t, f.job(t, "training_file", f.trainingFile(t, 7)).ID)
	if job.Status != "failed" || job.Error == nil || job.Error.Message != "Training file has 7 example(s), but must have at least 10 examples" || *job.Error.Param != "training_file" {
		t.Errorf("%+v, error %+v", job, job.Error)
	}
	f.trainer.Fail = func(train.Request, int) error { return errors.New("out of memory") }
	job = f.wait(t, f.job(t).ID)
	if job.Status != "failed" || job.Error.Code == "" || job.FineTunedModel != nil {
		t.Errorf("%+v, error %+v", job, job.Error)
	}
}

func TestJobCancel(t *testing.T) {
	f := newFixture(t)
	f.block()
	job := f.job(t)
	var out openai.Job
	f.do("POST", "/v1/fine_tuning/jobs/"+job.ID+"/cancel", nil).ok(t, &out)
	if out.Status != "cancelled" || out.FinishedAt == nil || out.Error != nil {
		t.Errorf("%+v", out)
	}
	f.do("POST", "/v1/fine_tuning/jobs/"+job.ID+"/cancel", nil).refused(t, 400, "id", "")
	f.do("POST", "/v1/fine_tuning/jobs/ftjob-nobody/cancel", nil).refused(t, 404, "id", "")
}

func TestJobRefuses(t *testing.T) {
	f := newFixture(t)
	file := f.trainingFile(t, 10)
	var other openai.File
	f.upload(t, "purpose", "assistants", "file", "x").ok(t, &other)
	method := func(kind string, hyper map[string]any) map[string]any {
		return map[string]any{"type": kind, kind: map[string]any{"hyperparameters": hyper}}
	}
	for _, c := range []struct {
		name        string
		field       string
		value       any
		param, code string
	}{
		{"no model", "model", nil, "model", ""},
		{"unknown model", "model", "nobody", "model", "model_not_found"},
		{"no file", "training_file", nil, "training_file", ""},
		{"unknown file", "training_file", "file-nobody", "training_file", "file_not_found"},
		{"wrong purpose", "training_file", other.ID, "training_file", "invalid_file_purpose"},
		{"unknown validation file", "validation_file", "file-nobody", "validation_file", "file_not_found"},
		{"suffix", "suffix", strings.Repeat("x", 65), "suffix", ""},
		{"empty suffix", "suffix", "", "suffix", ""},
		{"seed", "seed", -1, "seed", ""},
		{"seed above", "seed", int64(1) << 31, "seed", ""},
		{"metadata", "metadata", map[string]string{strings.Repeat("k", 65): "v"}, "metadata", ""},
		{"epochs", "hyperparameters", map[string]any{"n_epochs": 51}, "hyperparameters.n_epochs", ""},
		{"epochs 0", "hyperparameters", map[string]any{"n_epochs": 0}, "hyperparameters.n_epochs", ""},
		{"epochs type", "hyperparameters", map[string]any{"n_epochs": "many"}, "hyperparameters.n_epochs", ""},
		{"batch", "hyperparameters", map[string]any{"batch_size": 257}, "hyperparameters.batch_size", ""},
		{"multiplier", "hyperparameters", map[string]any{"learning_rate_multiplier": -1}, "hyperparameters.learning_rate_multiplier", ""},
		{"method epochs", "method", method("supervised", map[string]any{"n_epochs": 0}), "method.supervised.hyperparameters.n_epochs", ""},
		{"dpo beta", "method", method("dpo", map[string]any{"beta": 3}), "hyperparameters.beta", ""},
		{"dpo beta 0", "method", method("dpo", map[string]any{"beta": 0}), "method.dpo.hyperparameters.beta", ""},
		{"dpo beta type", "method", method("dpo", map[string]any{"beta": "high"}), "method.dpo.hyperparameters.beta", ""},
		{"beta of supervised", "method", method("supervised", map[string]any{"beta": 0.1}), "hyperparameters.beta", ""},
		{"kto weight 0", "method", method("kto", map[string]any{"desirable_weight": 0}), "method.kto.hyperparameters.desirable_weight", ""},
		{"kto weight type", "method", method("kto", map[string]any{"undesirable_weight": "high"}), "method.kto.hyperparameters.undesirable_weight", ""},
		{"weight of dpo", "method", method("dpo", map[string]any{"desirable_weight": 2}), "hyperparameters.desirable_weight", ""},
		{"another method", "method", method("magic", nil), "method.type", ""},
		{"reinforcement", "method", method("reinforcement", nil), "method.type", "unsupported_value"},
		{"no type", "method", map[string]any{}, "method.type", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := map[string]any{"model": base, "training_file": file}
			body[c.field] = c.value
			f.do("POST", "/v1/fine_tuning/jobs", body).refused(t, 400, c.param, c.code)
		})
	}
	var page openai.Page[openai.Job]
	f.do("GET", "/v1/fine_tuning/jobs", nil).ok(t, &page)
	if len(page.Data) != 0 {
		t.Errorf("refused requests made jobs: %+v", page.Data)
	}
}

// The old tutorial gives a learning rate as the multiplier.
func TestJobLearningRateAsMultiplier(t *testing.T) {
	f := newFixture(t)
	job := f.wait(t, f.job(t, "model", "gpt-3.5-turbo", "hyperparameters", map[string]any{"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 2e-5}).ID)
	if job.Model != "gpt-3.5-turbo" || job.Status != "succeeded" {
		t.Errorf("%+v", job)
	}
	got := f.do("GET", "/v1/fine_tuning/jobs/"+job.ID+"/events?limit=100", nil)
	if !strings.Contains(string(got.body), "learning_rate_multiplier is 2e-05, which looks like a learning rate") {
		t.Errorf("no warning: %s", got.body)
	}
}

func TestJobsPages(t *testing.T) {
	f := newFixture(t)
	f.block()
	file := f.trainingFile(t, 10)
	var ids []string
	for i := range 5 {
		body := map[string]any{"model": base, "training_file": file}
		if i%2 == 1 {
			body["metadata"] = map[string]string{"odd": "yes", "i": fmt.Sprint(i)}
		}
		var job openai.Job
		f.do("POST", "/fine_tuning/jobs", body).ok(t, &job)
		ids = append([]string{job.ID}, ids...)
	}
	list := func(query string) []string {
		var page openai.Page[openai.Job]
		var out []string
		after := ""
		for {
			f.do("GET", "/v1/fine_tuning/jobs?limit=2&after="+after+query, nil).ok(t, &page)
			for _, j := range page.Data {
				out = append(out, j.ID)
				after = j.ID
			}
			if !page.HasMore {
				return out
			}
		}
	}
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"", ids},
		{"&" + url.QueryEscape("metadata[odd]") + "=yes", []string{ids[1], ids[3]}},
		{"&metadata[odd]=yes&metadata[i]=3", []string{ids[1]}},
		{"&metadata[odd]=no", nil},
		{"&metadata=null", []string{ids[0], ids[2], ids[4]}},
	} {
		if got := list(c.query); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.query, got, c.want)
		}
	}
	f.do("GET", "/v1/fine_tuning/jobs?after=ftjob-nobody", nil).refused(t, 404, "after", "")
	f.do("GET", "/v1/fine_tuning/jobs/ftjob-nobody", nil).refused(t, 404, "id", "")
}

func TestJobIdempotency(t *testing.T) {
	f := newFixture(t)
	body := map[string]any{"model": base, "training_file": f.trainingFile(t, 10)}
	ids := make(chan string)
	for range 3 {
		go func() {
			var job openai.Job
			a := f.do("POST", "/v1/fine_tuning/jobs", body, "Idempotency-Key", "once")
			_ = json.Unmarshal(a.body, &job)
			ids <- job.ID
		}()
	}
	first := <-ids
	if second, third := <-ids, <-ids; first == "" || second != first || third != first {
		t.Errorf("%q, %q, %q", first, second, third)
	}
	var job openai.Job
	f.do("POST", "/v1/fine_tuning/jobs", body, "Idempotency-Key", "twice").ok(t, &job)
	if job.ID == first {
		t.Error("another key gave the same job")
	}
	bad := map[string]any{"model": base, "training_file": "file-nobody"}
	f.do("POST", "/v1/fine_tuning/jobs", bad, "Idempotency-Key", "thrice").refused(t, 400, "training_file", "file_not_found")
	f.do("POST", "/v1/fine_tuning/jobs", body, "Idempotency-Key", "thrice").ok(t, nil) // a failure is not remembered
}

func TestOldFineTunes(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/v1/fine-tunes", "/fine-tunes/ft-1/events"} {
		e := f.do("POST", path, `{}`).refused(t, 404, "", "unknown_url")
		if !strings.Contains(e.Message, "/v1/fine_tuning/jobs") {
			t.Error(e.Message)
		}
	}
}

// A tuned model as the model of a job is trained on, as at OpenAI.
func TestContinueTunedModel(t *testing.T) {
	f := newFixture(t)
	f.dataset(t, 40)
	first := f.tune(t)
	job := f.wait(t, f.job(t, "model", first.Adapter).ID)
	if job.Model != first.Adapter || job.FineTunedModel == nil || *job.FineTunedModel == first.Adapter {
		t.Errorf("%+v", job)
	}
	all := f.trainer.Requests()
	if got := all[len(all)-1].InitPath; !strings.HasSuffix(got, "adapters/"+first.ID+".gguf") {
		t.Errorf("the trainer begins with %q", got)
	}
}
