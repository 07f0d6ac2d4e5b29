package client

import (
	"context"
	"net/url"

	"cloister/appliance/admin"
)

// Model says what a name leads to; "" means the default model.
func (c *Client) Model(ctx context.Context, name string) (admin.Model, error) {
	return get[admin.Model](ctx, c, "/admin/models/"+url.PathEscape(name))
}
