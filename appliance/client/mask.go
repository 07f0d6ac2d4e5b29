package client

import (
	"context"
	"net/url"
	"strconv"

	"cloister/appliance/admin"
)

// Used returns what a version of a dataset (0: the newest) was masked with,
// names and numbers in the clear.
func (c *Client) Used(ctx context.Context, name string, number int) (admin.Used, error) {
	return get[admin.Used](ctx, c, "/admin/datasets/"+url.PathEscape(name)+"/versions/"+strconv.Itoa(number)+"/policy")
}

// Mask masks texts with the policy and the vault of the project.
func (c *Client) Mask(ctx context.Context, texts []string) (admin.MaskedTexts, error) {
	return post[admin.MaskedTexts](ctx, c, "/admin/mask", admin.Texts{Texts: texts})
}

// Unmask puts the values back into masked texts. It is written to the audit log.
func (c *Client) Unmask(ctx context.Context, texts []string) (admin.UnmaskedTexts, error) {
	return post[admin.UnmaskedTexts](ctx, c, "/admin/unmask", admin.Texts{Texts: texts})
}
