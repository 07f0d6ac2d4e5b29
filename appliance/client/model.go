package client

import (
	"context"
	"net/url"

	"cloister/appliance/admin"
	"cloister/store"
)

// ImportAdapter adds an adapter of the appliance's machine as a tuned model.
func (c *Client) ImportAdapter(ctx context.Context, in admin.ImportAdapter) (store.Adapter, error) {
	return post[store.Adapter](ctx, c, "/admin/adapters", in)
}

// Model says what a name leads to; "" means the default model.
func (c *Client) Model(ctx context.Context, name string) (admin.Model, error) {
	return get[admin.Model](ctx, c, "/admin/models/"+url.PathEscape(name))
}
