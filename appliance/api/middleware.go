package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"cloister/appliance/openai"
	"cloister/store"
)

// handler is a route's program. What it returns is sent by finish.
type handler func(http.ResponseWriter, *http.Request) error

// observe gives every request an id, the headers that OpenAI's clients read, a
// line in the log and a net under panics.
func (s *Server) observe(next handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := store.NewID("req_")
		out := &response{ResponseWriter: w, start: time.Now()}
		out.Header().Set("X-Request-Id", id)
		out.Header().Set("Openai-Version", "2020-10-01")
		out.Header().Set("Openai-Organization", s.org())
		out.Header().Set("X-Content-Type-Options", "nosniff")
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, &call{id: id}))
		err := s.guard(next, out, r)
		s.finish(out, r, err)
	})
}

// call is what is known about a request while it is served.
type call struct {
	id    string
	route string // pattern, not path: paths can hold what users typed
	who   principal
	err   error // what the route's handler returned
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// guard turns a panic of a handler into an error.
func (s *Server) guard(next handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer s.recovered(r.Context(), &err)
	return next(w, r)
}

// recovered, deferred, turns a panic into an error. What was panicked with may
// hold text of the request, so the log gets its type and the stack only.
func (s *Server) recovered(ctx context.Context, err *error) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	*err = fmt.Errorf("panic of type %T", p)
	s.log.Error("panic", "request", callOf(ctx).id, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
}

// finish answers with the error, if there is one and nothing was sent before,
// and writes the line in the log.
func (s *Server) finish(w *response, r *http.Request, err error) {
	c := callOf(r.Context())
	attrs := []any{"request", c.id, "method", r.Method, "route", c.route, "actor", c.who.actor,
		"ms", time.Since(w.start).Milliseconds()}
	if err == nil {
		s.log.Info("request", append(attrs, "status", w.status)...)
		return
	}
	if r.Context().Err() != nil || errors.Is(err, errGone) {
		s.log.Info("client gone", attrs...)
		return
	}
	f := seenBy(c.who, err)
	if w.status == 0 {
		f.headers(w.Header())
		_ = respond(w, f.status, openai.ErrorResponse{Error: f.wire()}) // if it fails, nobody is there to be told
	}
	attrs = append(attrs, "status", f.status, "code", f.code)
	if f.status < http.StatusInternalServerError {
		s.log.Info("request refused", attrs...)
		return
	}
	s.log.Error("request failed", append(attrs, "error", slog.AnyValue(f.cause))...)
}

// origins answers CORS requests and refuses those of web pages that are not
// allowed. Browsers send simple POST requests without asking first, so leaving
// headers out is not enough. Allowed are pages of this machine, of the
// appliance itself and of the configured origins. Headers are reflected: a
// fixed list fails with every new header of a client (X-Stainless-…).
func (s *Server) origins(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		origin := r.Header.Get("Origin")
		if origin == "" {
			return next(w, r)
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		if !s.allowedOrigin(origin, r.Host) {
			return &failure{status: http.StatusForbidden, kind: typeInvalid, code: "origin_not_allowed",
				message: "Web pages of this origin may not use the appliance. Start it with --origin ORIGIN to allow one."}
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "X-Request-Id, Openai-Processing-Ms, Openai-Version, Retry-After, X-Should-Retry")
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			return next(w, r)
		}
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
			h.Set("Access-Control-Allow-Private-Network", "true")
		}
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

func (s *Server) allowedOrigin(origin, host string) bool {
	if slices.Contains(s.config.Origins, origin) || slices.Contains(s.config.Origins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return isLoopbackHost(u.Host) || u.Host == host
}

// isLoopbackHost reports whether a host, with or without a port, is this machine.
func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// tidyPath joins double slashes, which users make with a base URL that ends
// in one. The mux would answer with a redirect, and clients do not follow
// those with a POST.
func tidyPath(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !strings.Contains(r.URL.Path, "//") {
			return next(w, r)
		}
		escaped := r.URL.EscapedPath()
		for strings.Contains(escaped, "//") {
			escaped = strings.ReplaceAll(escaped, "//", "/")
		}
		path, err := url.PathUnescape(escaped)
		if err != nil {
			return invalid("", "The URL is not valid.")
		}
		clone := *r
		u := *r.URL
		u.Path, u.RawPath = path, escaped
		clone.URL = &u
		return next(w, &clone)
	}
}
