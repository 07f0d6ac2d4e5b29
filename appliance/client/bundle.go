package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"cloister/appliance/admin"
)

// ExportBundle writes a bundle to w. That it came whole is for the caller to
// see, who reads it as archive.Reader does: a stream that broke is no bundle.
func (c *Client) ExportBundle(ctx context.Context, in admin.ExportBundle, w io.Writer) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, http.MethodPost, "/admin/bundles/export", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(w, resp.Body); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// ImportBundle takes a bundle.
func (c *Client) ImportBundle(ctx context.Context, in admin.ImportBundle, file io.Reader) (admin.ImportedBundle, error) {
	var out admin.ImportedBundle
	resp, err := c.upload(ctx, "/admin/bundles/import", in, "bundle", file)
	if err != nil {
		return out, err
	}
	return out, decode(ctx, resp, &out)
}

// VerifyBundle reads a bundle and says what is in it.
func (c *Client) VerifyBundle(ctx context.Context, file io.Reader) (admin.Bundle, error) {
	var out admin.Bundle
	resp, err := c.upload(ctx, "/admin/bundles/verify", struct{}{}, "bundle", file)
	if err != nil {
		return out, err
	}
	return out, decode(ctx, resp, &out)
}
