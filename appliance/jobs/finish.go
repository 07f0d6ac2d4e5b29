package jobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"cloister/appliance/models"
	"cloister/lora/eval"
	"cloister/lora/train"
	"cloister/store"
)

// finish registers what a job has made and marks it succeeded. Every step
// before the mark can be repeated: a job that dies in here is finished again.
func (m *Manager) finish(job store.Job, result train.Result) error {
	name := models.AdapterName(job.Base, m.models.Org(), job.Suffix, shortID(job.ID))
	best := result.Best
	if err := m.register(store.Adapter{
		Name: name, Base: job.Base, JobID: job.ID, Step: best.Step,
		Path: adapterPath(job.ID, 0), Metrics: pointMetrics(best.Step, best.TrainLoss, best.ValidLoss),
	}); err != nil {
		return err
	}
	for _, c := range result.Checkpoints {
		if _, err := m.keepCheckpoint(job, c); err != nil {
			return err
		}
	}
	file, err := m.results(job)
	if err != nil {
		return err
	}
	result.OutPath, result.Checkpoints = "", nil // they name paths of this machine
	result.Curve = finiteCurve(result.Curve)
	result.Best = train.EpochStat{}
	for _, stat := range finiteCurve([]train.EpochStat{best}) {
		result.Best = stat
	}
	rawResult, err := json.Marshal(result)
	if err != nil {
		return err
	}
	resolved, err := json.Marshal(result.Resolved)
	if err != nil {
		return err
	}
	verdict := Verdict(result)
	level := info
	if verdict.Kind == eval.Overfit || verdict.Kind == eval.Unhealthy {
		level = warn
	}
	_, err = m.end(job.ID, func(j *store.Job) {
		j.Status, j.Adapter, j.ResultFiles = store.JobSucceeded, name, []string{file}
		j.TrainedTokens, j.Result, j.Resolved = result.TrainedTokens, rawResult, resolved
	}, line{level, verdict.Text}, line{info, "New fine-tuned model created: " + name}, line{info, "The job has successfully completed"})
	return unlessEnded(err)
}

// Verdict judges the curves of a finished run.
func Verdict(r train.Result) eval.Verdict {
	var points []eval.Point
	for _, p := range r.Curve {
		points = append(points, eval.Point{Epoch: p.Epoch, TrainLoss: p.TrainLoss, ValidLoss: p.ValidLoss})
	}
	return eval.Judge(points, r.BestEpoch, r.StoppedEarly)
}

// finiteCurve leaves out what is not a number, which JSON cannot hold.
func finiteCurve(curve []train.EpochStat) []train.EpochStat {
	var out []train.EpochStat
	for _, s := range curve {
		s.ValidLoss = finitePtr(s.ValidLoss)
		if finite(s.TrainLoss) != nil {
			out = append(out, s)
		}
	}
	return out
}

// keepCheckpoint makes a model of a checkpoint and returns its name.
func (m *Manager) keepCheckpoint(job store.Job, c train.Checkpoint) (string, error) {
	name := fmt.Sprintf("%s:ckpt-step-%d", models.AdapterName(job.Base, m.models.Org(), job.Suffix, shortID(job.ID)), c.Step)
	path := adapterPath(job.ID, c.Step)
	if err := move(c.Path, filepath.Join(m.config.Home, path)); err != nil {
		return "", err
	}
	return name, m.register(store.Adapter{
		Name: name, Base: job.Base, JobID: job.ID, Step: c.Step,
		Path: path, Checkpoint: true, Metrics: pointMetrics(c.Step, c.TrainLoss, c.ValidLoss),
	})
}

// keepBest makes a model of the best checkpoint of a run that diverged, and
// adds its name to the message.
func (m *Manager) keepBest(job store.Job, result train.Result, message string) (string, error) {
	for _, c := range result.Checkpoints {
		if c.Step == result.Best.Step {
			name, err := m.keepCheckpoint(job, c)
			return fmt.Sprintf("%s as the model %s", message, name), err
		}
	}
	return message, nil
}

// pointMetrics are the metrics of a checkpoint, in OpenAI's names.
func pointMetrics(step int, trainLoss float64, validLoss *float64) map[string]float64 {
	out := map[string]float64{"step": float64(step)}
	if v := finite(trainLoss); v != nil {
		out["train_loss"] = *v
	}
	if v := finitePtr(validLoss); v != nil {
		out["valid_loss"], out["full_valid_loss"] = *v, *v
	}
	return out
}

// shortID is the part of a job's id that stands in names: its last 8
// characters. They are random, so names differ, and a job that is finished
// again gives the same name again.
func shortID(jobID string) string { return jobID[max(0, len(jobID)-8):] }

// adapterPath is where an adapter lies, below the data directory; step 0 is
// the finished one.
func adapterPath(jobID string, step int) string {
	if step == 0 {
		return filepath.Join("adapters", jobID+".gguf")
	}
	return filepath.Join("adapters", fmt.Sprintf("%s-step-%d.gguf", jobID, step))
}

// register stores an adapter's record with the checksum of its file.
func (m *Manager) register(a store.Adapter) error {
	f, err := os.Open(filepath.Join(m.config.Home, a.Path))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	a.SHA256 = hex.EncodeToString(h.Sum(nil))
	return m.st.PutAdapter(a)
}

// move renames a file; one that has been moved already is fine.
func move(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, os.ErrNotExist) {
		if _, there := os.Stat(to); there == nil {
			return nil
		}
	}
	return err
}

// results makes the result file out of the metrics in the job's log and
// returns its id: one row a step, cells of what was not measured empty.
func (m *Manager) results(job store.Job) (string, error) {
	events, err := m.st.EventsSince(job.ID, 0)
	if err != nil {
		return "", err
	}
	rows := map[int]metrics{}
	for _, e := range events {
		if e.Type != "metrics" {
			continue
		}
		var d metrics
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return "", fmt.Errorf("event %s: %w", e.ID, err)
		}
		row := rows[d.Step] // a step that was done again after a restart counts as it was last
		row.Step = d.Step
		for _, f := range []struct{ to, from **float64 }{
			{&row.TrainLoss, &d.TrainLoss}, {&row.TrainAccuracy, &d.TrainAccuracy},
			{&row.ValidLoss, &d.ValidLoss}, {&row.ValidAccuracy, &d.ValidAccuracy},
		} {
			if *f.from != nil {
				*f.to = *f.from
			}
		}
		rows[d.Step] = row
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"})
	for _, step := range slices.Sorted(maps.Keys(rows)) {
		r := rows[step]
		_ = w.Write([]string{strconv.Itoa(step), cell(r.TrainLoss), cell(r.TrainAccuracy), cell(r.ValidLoss), cell(r.ValidAccuracy)})
	}
	w.Flush() // a bytes.Buffer does not fail
	file, err := m.st.PutFile(m.ctx, store.File{Name: "step_metrics.csv", Purpose: "fine-tune-results"}, &b)
	return file.ID, err
}

func cell(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', 5, 64)
}
