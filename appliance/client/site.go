package client

import (
	"context"
	"net/http"
	"net/url"

	"cloister/appliance/admin"
)

// Site returns who this site is to others.
func (c *Client) Site(ctx context.Context) (admin.Site, error) {
	return get[admin.Site](ctx, c, "/admin/site/key")
}

// MakeKey names this site and makes its signing key.
func (c *Client) MakeKey(ctx context.Context, in admin.MakeKey) (admin.Site, error) {
	return post[admin.Site](ctx, c, "/admin/site/key", in)
}

// Sign has this site sign a message for a purpose of packed programs.
func (c *Client) Sign(ctx context.Context, purpose string, message []byte) (admin.Signed, error) {
	return post[admin.Signed](ctx, c, "/admin/site/sign", admin.Sign{Purpose: purpose, Message: message})
}

// TrustedSites lists the sites whose bundles are imported.
func (c *Client) TrustedSites(ctx context.Context) ([]admin.TrustedSite, error) {
	out, err := get[admin.List[admin.TrustedSite]](ctx, c, "/admin/site/trusted")
	return out.Data, err
}

// Trust believes the bundles of another site.
func (c *Client) Trust(ctx context.Context, in admin.Trust) (admin.TrustedSite, error) {
	return post[admin.TrustedSite](ctx, c, "/admin/site/trusted", in)
}

// Distrust believes the bundles of a site no more.
func (c *Client) Distrust(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/admin/site/trusted/"+url.PathEscape(name), nil, nil)
}
