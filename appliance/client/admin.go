package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"cloister/appliance/admin"
	"cloister/appliance/openai"
	"cloister/store"
)

// Status describes the running appliance.
func (c *Client) Status(ctx context.Context) (admin.Status, error) {
	return get[admin.Status](ctx, c, "/admin/status")
}

// Shutdown asks the appliance to stop. It returns once the request is accepted.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/admin/shutdown", nil, nil)
}

// Check verifies every reference in the store.
func (c *Client) Check(ctx context.Context) (admin.Check, error) {
	return post[admin.Check](ctx, c, "/admin/check", nil)
}

// Models lists every name that can be used as a model: bases, adapters, aliases.
func (c *Client) Models(ctx context.Context) ([]openai.Model, error) {
	out, err := get[openai.List[openai.Model]](ctx, c, "/v1/models")
	return out.Data, err
}

// BaseModels lists the imported GGUF files.
func (c *Client) BaseModels(ctx context.Context) ([]store.BaseModel, error) {
	out, err := get[admin.List[store.BaseModel]](ctx, c, "/admin/models")
	return out.Data, err
}

// ImportModel adds a GGUF file of the appliance's machine as a base model.
func (c *Client) ImportModel(ctx context.Context, in admin.ImportModel) (store.BaseModel, error) {
	return post[store.BaseModel](ctx, c, "/admin/models", in)
}

// RemoveModel removes a base model or an adapter.
func (c *Client) RemoveModel(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/admin/models/"+url.PathEscape(name), nil, nil)
}

// ImportDataset streams a raw file into a new version of a dataset and, with a
// second pass, calls progress, if it is not nil, after each example that the
// model has read.
func (c *Client) ImportDataset(ctx context.Context, in admin.ImportDataset, file io.Reader, progress func(done, total int)) (store.Version, error) {
	resp, err := c.upload(ctx, "/admin/datasets", in, in.FileName, file)
	if err != nil {
		return store.Version{}, err
	}
	return versionLines(ctx, resp, progress)
}

// Datasets lists the datasets.
func (c *Client) Datasets(ctx context.Context) ([]store.Dataset, error) {
	out, err := get[admin.List[store.Dataset]](ctx, c, "/admin/datasets")
	return out.Data, err
}

// Dataset returns a dataset with its versions, reports included.
func (c *Client) Dataset(ctx context.Context, name string) (admin.Dataset, error) {
	return get[admin.Dataset](ctx, c, "/admin/datasets/"+url.PathEscape(name))
}

// Version returns one version of a dataset with its report; 0 means the newest.
func (c *Client) Version(ctx context.Context, name string, number int) (store.Version, error) {
	return get[store.Version](ctx, c, version(name, number))
}

// Proposals returns the masked values of a version that may be the
// institution's own, in full, so that somebody can decide which to allow.
func (c *Client) Proposals(ctx context.Context, name string, number int) ([]admin.Proposal, error) {
	out, err := get[admin.List[admin.Proposal]](ctx, c, version(name, number)+"/proposals")
	return out.Data, err
}

// Risk says how well the examples of a version (0: the newest) hide among each
// other; k 0 means 5.
func (c *Client) Risk(ctx context.Context, name string, n, k int) (admin.Risk, error) {
	return get[admin.Risk](ctx, c, query(version(name, n)+"/risk", "k", number(k)))
}

// Review lists what is uncertain in a version (0: the newest), with scores from
// one bound to below the other; limit 0 leaves the number to the appliance. It
// shows texts of the original.
func (c *Client) Review(ctx context.Context, name string, n int, from, to float64, limit int) (admin.Review, error) {
	return get[admin.Review](ctx, c, query(version(name, n)+"/review", "from", score(from), "to", score(to), "limit", number(limit)))
}

// Decide keeps decisions on items of a review of a version (0: the newest).
func (c *Client) Decide(ctx context.Context, name string, number int, in admin.Decide) (admin.Decided, error) {
	return post[admin.Decided](ctx, c, version(name, number)+"/decisions", in)
}

// Export writes the examples of a version (0: the newest) to w as masked chat
// JSONL; split "" means all of them.
func (c *Client) Export(ctx context.Context, name string, number int, split store.Split, w io.Writer) error {
	path := version(name, number) + "/export"
	resp, err := c.send(ctx, http.MethodGet, query(path, "split", string(split)), "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(w, resp.Body); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// RemoveDataset removes a dataset with all its versions.
func (c *Client) RemoveDataset(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/admin/datasets/"+url.PathEscape(name), nil, nil)
}

// Estimate says what a fine-tuning job would take. It measures for a while.
func (c *Client) Estimate(ctx context.Context, in admin.EstimateOn) (admin.Estimate, error) {
	return post[admin.Estimate](ctx, c, "/admin/estimate", in)
}

// Tune starts a fine-tuning job.
func (c *Client) Tune(ctx context.Context, in admin.TrainOn) (store.Job, error) {
	return post[store.Job](ctx, c, "/admin/jobs", in)
}

// Jobs lists the newest jobs first.
func (c *Client) Jobs(ctx context.Context, limit int) ([]store.Job, error) {
	out, err := get[admin.List[store.Job]](ctx, c, query("/admin/jobs", "limit", number(limit)))
	return out.Data, err
}

// Job returns a job.
func (c *Client) Job(ctx context.Context, id string) (store.Job, error) {
	return get[store.Job](ctx, c, "/admin/jobs/"+url.PathEscape(id))
}

// CancelJob stops a job for good.
func (c *Client) CancelJob(ctx context.Context, id string) (store.Job, error) {
	return post[store.Job](ctx, c, "/admin/jobs/"+url.PathEscape(id)+"/cancel", nil)
}

// FollowJob calls each for every event of a job after the sequence number
// afterSeq, those to come included, and returns the job in its final state.
// The job goes on when ctx ends. After an error that is not of each, follow
// again with the last sequence number seen.
func (c *Client) FollowJob(ctx context.Context, id string, afterSeq uint64, each func(store.Event) error) (store.Job, error) {
	var job store.Job
	path := query("/admin/jobs/"+url.PathEscape(id)+"/follow", "after", strconv.FormatUint(afterSeq, 10))
	resp, err := c.send(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return job, err
	}
	err = lines(ctx, resp, func(line admin.JobLine) (bool, error) {
		switch {
		case line.Error != nil:
			return true, newError(0, "", *line.Error)
		case line.Event != nil:
			return false, each(*line.Event)
		case line.Job != nil:
			job = *line.Job
			return true, nil
		}
		return false, nil
	})
	return job, err
}

// Evaluate compares a model with a baseline and calls progress after each
// example. file is read when in.Dataset is empty, and may be nil otherwise.
func (c *Client) Evaluate(ctx context.Context, in admin.Evaluate, file io.Reader, progress func(done, total int)) (store.Evaluation, error) {
	var out store.Evaluation
	resp, err := c.upload(ctx, "/admin/evaluations", in, in.FileName, file)
	if err != nil {
		return out, err
	}
	err = lines(ctx, resp, func(line admin.EvaluateLine) (bool, error) {
		switch {
		case line.Error != nil:
			return true, newError(0, "", *line.Error)
		case line.Evaluation != nil:
			out = *line.Evaluation
			return true, nil
		case line.Total > 0 && progress != nil:
			progress(line.Done, line.Total)
		}
		return false, nil
	})
	return out, err
}

// Evaluations lists the evaluations of a model, newest first; "" means all.
func (c *Client) Evaluations(ctx context.Context, model string) ([]store.Evaluation, error) {
	out, err := get[admin.List[store.Evaluation]](ctx, c, query("/admin/evaluations", "model", model))
	return out.Data, err
}

// Deploy puts a model behind an alias. When the gate refuses, CodeIs(err,
// "gate_refused") is true and the message says why.
func (c *Client) Deploy(ctx context.Context, in admin.Deploy) (store.Release, error) {
	return post[store.Release](ctx, c, "/admin/deploy", in)
}

// Rollback makes the release before the current one serve again.
func (c *Client) Rollback(ctx context.Context, alias string) (store.Release, error) {
	return post[store.Release](ctx, c, "/admin/rollback", admin.Rollback{Alias: alias})
}

// Releases lists the aliases with their releases.
func (c *Client) Releases(ctx context.Context) ([]admin.Release, error) {
	out, err := get[admin.List[admin.Release]](ctx, c, "/admin/releases")
	return out.Data, err
}

// Gate returns the bounds that a release must keep.
func (c *Client) Gate(ctx context.Context) (admin.Gate, error) {
	return get[admin.Gate](ctx, c, "/admin/gate")
}

// ChangeGate changes some of them for later deployments and returns them all.
func (c *Client) ChangeGate(ctx context.Context, in admin.ChangeGate) (admin.Gate, error) {
	return post[admin.Gate](ctx, c, "/admin/gate", in)
}

// Feedback lists the judgements since a time, the newest first.
func (c *Client) Feedback(ctx context.Context, since time.Time, limit int) ([]admin.FeedbackItem, error) {
	out, err := get[admin.List[admin.FeedbackItem]](ctx, c, query("/admin/feedback", "since", stamp(since), "limit", number(limit)))
	return out.Data, err
}

// FeedbackReport sums up the judgements since a time and shows the worst answers.
func (c *Client) FeedbackReport(ctx context.Context, since time.Time, worst int) (admin.FeedbackReport, error) {
	return get[admin.FeedbackReport](ctx, c, query("/admin/feedback/report",
		"since", stamp(since), "worst", number(worst)))
}

// ImportFeedback reads a CSV file of ratings.
func (c *Client) ImportFeedback(ctx context.Context, fileName string, file io.Reader) (admin.FeedbackImported, error) {
	var out admin.FeedbackImported
	resp, err := c.upload(ctx, "/admin/feedback/import", struct{}{}, fileName, file)
	if err != nil {
		return out, err
	}
	return out, decode(ctx, resp, &out)
}

// ApplyFeedback makes a new version of a dataset with the corrections that wait.
func (c *Client) ApplyFeedback(ctx context.Context, dataset string) (admin.FeedbackApplied, error) {
	return post[admin.FeedbackApplied](ctx, c, "/admin/feedback/apply", admin.ApplyFeedback{Dataset: dataset})
}

// Keys lists the API keys, without their secrets.
func (c *Client) Keys(ctx context.Context) ([]admin.Key, error) {
	out, err := get[admin.List[admin.Key]](ctx, c, "/admin/keys")
	return out.Data, err
}

// AddKey makes an API key. Its secret is in the answer and nowhere else.
func (c *Client) AddKey(ctx context.Context, in admin.NewKey) (admin.Key, error) {
	return post[admin.Key](ctx, c, "/admin/keys", in)
}

// RemoveKey makes an API key invalid.
func (c *Client) RemoveKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/admin/keys/"+url.PathEscape(id), nil, nil)
}

// Audit lists the newest entries of the log of who did what first.
func (c *Client) Audit(ctx context.Context, limit int) ([]store.Audit, error) {
	out, err := get[admin.List[store.Audit]](ctx, c, query("/admin/audit", "limit", number(limit)))
	return out.Data, err
}

// version is the path of a version of a dataset.
func version(name string, number int) string {
	return "/admin/datasets/" + url.PathEscape(name) + "/versions/" + strconv.Itoa(number)
}

// score formats a score.
func score(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// stamp formats a time; the zero time leaves it to the appliance.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// number formats a limit; 0 leaves it to the appliance.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
