package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"cloister/appliance/admin"
	"cloister/store"
)

// AnswerDataset has a model answer a dataset's questions and calls progress
// after each answer. It returns the version that holds the answers.
func (c *Client) AnswerDataset(ctx context.Context, in admin.AnswerDataset, progress func(done, total int)) (store.Version, error) {
	var out store.Version
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	resp, err := c.send(ctx, http.MethodPost, "/admin/answers", "application/json", bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	return versionLines(ctx, resp, progress)
}

// versionLines reads progress and, at last, a version.
func versionLines(ctx context.Context, resp *http.Response, progress func(done, total int)) (store.Version, error) {
	var out store.Version
	err := lines(ctx, resp, func(line admin.VersionLine) (bool, error) {
		switch {
		case line.Error != nil:
			return true, newError(0, "", *line.Error)
		case line.Version != nil:
			out = *line.Version
			return true, nil
		case line.Total > 0 && progress != nil:
			progress(line.Done, line.Total)
		}
		return false, nil
	})
	return out, err
}
