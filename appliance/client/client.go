// Package client talks to a running appliance: the admin routes, and chat and
// models of the OpenAI routes. The command line is its only user. A Client is
// safe for concurrent use and holds no resource but idle connections.
//
// Every failure that the appliance reports is an *Error; a failure to reach it
// is ErrUnreachable wrapped with its cause.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"cloister/appliance/openai"
)

// ErrUnreachable is wrapped in errors of requests that found no appliance.
var ErrUnreachable = errors.New("no appliance answers")

// Error is a failure that the appliance reported.
type Error struct {
	Status    int // HTTP status; 0 when a stream broke after its start
	RequestID string
	Message   string
	Type      string // such as "invalid_request_error"
	Param     string // field that is wrong, or empty
	Code      string // such as "gate_refused", or empty
}

func (e *Error) Error() string { return e.Message }

// CodeIs reports whether err is an *Error with this code.
func CodeIs(err error, code string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}

// newError makes an *Error of one on the wire.
func newError(status int, requestID string, e openai.Error) *Error {
	out := &Error{Status: status, RequestID: requestID, Message: e.Message, Type: e.Type}
	if e.Param != nil {
		out.Param = *e.Param
	}
	if e.Code != nil {
		out.Code = *e.Code
	}
	return out
}

// Client calls one appliance.
type Client struct {
	base string // URL without a slash at the end
	key  string
	http *http.Client
}

// Unix returns a client of the appliance whose control socket is at path.
func Unix(path string) *Client {
	return Over(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	})
}

// Over returns a client whose connections come from dial, such as
// Appliance.Dial.
func Over(dial func(context.Context) (net.Conn, error)) *Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	return &Client{base: "http://cloister", http: &http.Client{Transport: transport}}
}

// HTTP returns a client of the appliance at baseURL, such as
// "http://127.0.0.1:8080", with an API key ("" when it has none).
func HTTP(baseURL, key string) *Client {
	base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimRight(baseURL, "/"), "/v1"), "/")
	return &Client{base: base, key: key, http: &http.Client{Transport: &http.Transport{}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// send makes a request and returns a response of status 2xx, whose body the
// caller closes.
func (c *Client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(ctx, err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, responseError(resp)
	}
	return resp, nil
}

func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// responseError reads the error of a failed response. A body in another form
// (of a proxy, say) is not shown: only the status is.
func responseError(resp *http.Response) error {
	var body openai.ErrorResponse
	err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body)
	if err != nil || body.Error.Message == "" {
		body.Error = openai.Error{Message: "the appliance answered " + resp.Status}
	}
	return newError(resp.StatusCode, resp.Header.Get("X-Request-Id"), body.Error)
}

// call sends in as JSON (nil: no body) and decodes the answer into out (nil: ignored).
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	contentType := ""
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, contentType = bytes.NewReader(data), "application/json"
	}
	resp, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	return decode(ctx, resp, out)
}

// decode reads the one JSON value of a response and closes it.
func decode(ctx context.Context, resp *http.Response, out any) error {
	defer resp.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the answer of the appliance could not be read: %w", err)
	}
	return nil
}

// get calls a route and returns its answer.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	err := c.call(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

// post sends in to a route and returns its answer.
func post[T any](ctx context.Context, c *Client, path string, in any) (T, error) {
	var out T
	err := c.call(ctx, http.MethodPost, path, in, &out)
	return out, err
}

// query joins a path and the parameters that are not empty: name, value, ….
func query(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
