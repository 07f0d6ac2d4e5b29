package jobs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/fault"
	"cloister/appliance/jobs"
	"cloister/lora/train"
	"cloister/store"
	"cloister/store/vault"
)

// adapterFile writes an adapter and returns its path.
func adapterFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "start.gguf")
	a := &train.Adapter{Architecture: "llama", Rank: 1, Alpha: 1, Tensors: []train.AdapterTensor{
		{Name: "blk.0.attn_q.weight.lora_a", Rows: 1, Cols: 2, Data: []float32{1, 2}},
		{Name: "blk.0.attn_q.weight.lora_b", Rows: 2, Cols: 1, Data: []float32{1, 2}},
	}}
	if err := a.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// A job continues from a tuned model, as at OpenAI, from a checkpoint, or from
// a file; each by what the trainer is asked to begin with.
func TestContinue(t *testing.T) {
	k := newKit(t)
	data := k.dataset(t, 60)
	first, _ := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: data}).ID)
	checkpoint := first.Adapter + ":ckpt-step-2"
	file := adapterFile(t)
	for name, tt := range map[string]struct {
		req        jobs.CreateRequest
		from, path string
	}{
		"a tuned model":            {jobs.CreateRequest{Model: first.Adapter}, first.Adapter, "adapters/" + first.ID + ".gguf"},
		"a checkpoint as a model":  {jobs.CreateRequest{Model: checkpoint}, checkpoint, "adapters/" + first.ID + "-step-2.gguf"},
		"from a checkpoint":        {jobs.CreateRequest{Model: "tiny", From: checkpoint}, checkpoint, "adapters/" + first.ID + "-step-2.gguf"},
		"from, without a model":    {jobs.CreateRequest{From: first.Adapter}, first.Adapter, "adapters/" + first.ID + ".gguf"},
		"a file":                   {jobs.CreateRequest{Model: "tiny", InitPath: file}, "", file},
		"a base model begins anew": {jobs.CreateRequest{Model: "tiny"}, "", ""},
	} {
		tt.req.Dataset, tt.req.DumpPath = data, "/tmp/none.safetensors"
		job, events := k.follow(t, k.create(t, tt.req).ID)
		if job.Status != store.JobSucceeded || job.From != tt.from || job.Base != "tiny" {
			t.Errorf("%s: %+v", name, job)
		}
		all := k.trainer.Requests()
		want := tt.path
		if tt.from != "" {
			want = filepath.Join(k.home, tt.path)
		}
		if got := all[len(all)-1]; got.InitPath != want || got.DumpPath != "/tmp/none.safetensors" {
			t.Errorf("%s: the trainer begins with %q, want %q", name, got.InitPath, want)
		}
		if said := strings.Contains(strings.Join(messages(events), "\n"), "Training continues from the adapter "); said != (want != "") {
			t.Errorf("%s: the log says so: %v", name, said)
		}
	}
}

func TestContinueRefuses(t *testing.T) {
	k := newKit(t)
	data := k.dataset(t, 60)
	first, _ := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: data}).ID)
	if _, err := k.reg.Import(t.Context(), appliancetest.GGUF(t), "other", true); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text.gguf")
	if err := os.WriteFile(text, []byte("this is no adapter"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		param string
		req   jobs.CreateRequest
	}{
		"unknown":            {"from", jobs.CreateRequest{Model: "tiny", From: "ft:nothing"}},
		"a base":             {"from", jobs.CreateRequest{Model: "tiny", From: "tiny"}},
		"another base":       {"from", jobs.CreateRequest{Model: "other", From: first.Adapter}},
		"two adapters":       {"from", jobs.CreateRequest{Model: first.Adapter, From: first.Adapter + ":ckpt-step-2"}},
		"from and init":      {"init", jobs.CreateRequest{Model: "tiny", From: first.Adapter, InitPath: adapterFile(t)}},
		"model and init":     {"init", jobs.CreateRequest{Model: first.Adapter, InitPath: adapterFile(t)}},
		"no adapter":         {"init", jobs.CreateRequest{Model: "tiny", InitPath: text}},
		"a relative path":    {"init", jobs.CreateRequest{Model: "tiny", InitPath: "start.gguf"}},
		"a relative dump":    {"dump_gradients", jobs.CreateRequest{Model: "tiny", DumpPath: "grads"}},
		"an option's bounds": {"hyperparameters.lora_dropout", jobs.CreateRequest{Model: "tiny", Hyper: train.Hyperparameters{Dropout: 2}}},
	} {
		tt.req.Dataset = data
		_, err := k.man.Create(t.Context(), tt.req)
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Param != tt.param || f.Message == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A run that diverges fails with advice, and its best checkpoint stays as a model.
func TestDivergedKeepsBest(t *testing.T) {
	trainer := &appliancetest.Trainer{Epochs: 4, ValidLoss: func(epoch int) float64 { return []float64{3, 1, 2, 2}[epoch-1] }, Fail: func(_ train.Request, n int) error {
		if n == 7 {
			return fmt.Errorf("%w: a learning_rate of 1e-4 should help; the adapter of epoch 2 is kept", train.ErrDiverged)
		}
		return nil
	}}
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{})
	job, _ := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60), Suffix: "x"}).ID)
	name := fmt.Sprintf("ft:tiny:my-clinic:x:%s:ckpt-step-4", job.ID[len(job.ID)-8:])
	if job.Status != store.JobFailed || job.Error.Code != "training_diverged" || !strings.HasSuffix(job.Error.Message, "learning_rate of 1e-4 should help; the adapter of epoch 2 is kept as the model "+name) {
		t.Errorf("%+v", job.Error)
	}
	if err := k.man.Close(); err != nil { // what it tidies up is done then
		t.Fatal(err)
	}
	kept, err := k.st.JobAdapters(job.ID)
	if err != nil || len(kept) != 1 || kept[0].Name != name || !kept[0].Checkpoint || kept[0].Metrics["valid_loss"] != 1 {
		t.Fatalf("%+v, %v", kept, err)
	}
	if _, err := os.Stat(filepath.Join(k.home, kept[0].Path)); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(k.home, "work", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := k.st.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
