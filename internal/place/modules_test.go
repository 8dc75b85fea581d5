package place_test

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// mark is a handler of the kind that is looked for: `mark <name> [<settings>]`. Its name is the test's, and no setting.
type mark struct {
	Name     string `json:"name"`
	Settings string `json:"settings,omitempty"`
}

func (*mark) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.mark", New: func() caddy.Module { return new(mark) }}
}

func (*mark) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// wrapper is somebody's handler with handlers inside, which it shows, and hides.
type wrapper struct {
	Limit  int                         `json:"limit,omitempty"`
	Routes caddyhttp.RouteList         `json:"routes,omitempty"`
	Cases  map[string]*caddyhttp.Route `json:"cases,omitempty"`
	Sub    caddyhttp.Subroute          `json:"sub"`
	One    json.RawMessage             `json:"one,omitempty" caddy:"namespace=http.handlers inline_key=handler"`
	Secret caddyhttp.RouteList         `json:"secret,omitempty"`
	Own    mark                        `json:"own"`

	Shown  caddyhttp.MiddlewareHandler `json:"-"`
	Parent *wrapper                    `json:"-"`
	hidden caddyhttp.RouteList
}

func (*wrapper) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.wrapper", New: func() caddy.Module { return new(wrapper) }}
}

func (h *wrapper) Provision(ctx caddy.Context) error {
	h.Parent = h
	if h.One != nil {
		one, err := ctx.LoadModule(h, "One")
		if err != nil {
			return err
		}
		h.Shown = one.(caddyhttp.MiddlewareHandler)
	}
	h.hidden, h.Secret = h.Secret, nil
	var errs []error
	for _, route := range h.Cases {
		errs = append(errs, route.Provision(ctx, nil))
	}
	return errors.Join(append(errs, h.Routes.Provision(ctx), h.hidden.Provision(ctx), h.Sub.Provision(ctx))...)
}

func (*wrapper) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// closed is a matcher that reads its settings by itself, and shows none.
type closed struct{ secret string }

func (closed) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.closed", New: func() caddy.Module { return new(closed) }}
}

func (c *closed) UnmarshalJSON(b []byte) error            { return json.Unmarshal(b, &c.secret) }
func (closed) MatchWithError(*http.Request) (bool, error) { return true, nil }

// said is one that does show them, in its JSON only.
type said struct{ closed }

func (said) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.said", New: func() caddy.Module { return new(said) }}
}

func (s said) MarshalJSON() ([]byte, error) { return json.Marshal(s.secret) }

// sources loads modules, and keeps them where nobody sees them.
type sources struct {
	Raw    json.RawMessage `json:"from,omitempty" caddy:"namespace=http.ip_sources inline_key=source"`
	loaded any
}

func (*sources) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.sources", New: func() caddy.Module { return new(sources) }}
}

func (s *sources) Provision(ctx caddy.Context) (err error) {
	s.loaded, err = ctx.LoadModule(s, "Raw")
	return err
}

func (*sources) MatchWithError(*http.Request) (bool, error) { return true, nil }

// shown keeps them where they are seen.
type shown struct {
	Raw    []json.RawMessage `json:"from,omitempty" caddy:"namespace=http.ip_sources inline_key=source"`
	Loaded []any             `json:"-"`
}

func (*shown) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.shown", New: func() caddy.Module { return new(shown) }}
}

func (s *shown) Provision(ctx caddy.Context) error {
	loaded, err := ctx.LoadModule(s, "Raw")
	if err == nil {
		s.Loaded = loaded.([]any)
	}
	return err
}

func (*shown) MatchWithError(*http.Request) (bool, error) { return true, nil }

// failing cannot be asked.
type failing struct{ closed }

func (failing) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.failing", New: func() caddy.Module { return new(failing) }}
}

func (failing) MarshalJSON() ([]byte, error) { panic("failing") }

func init() {
	for _, module := range []caddy.Module{new(mark), new(wrapper), closed{}, said{}, new(sources), new(shown), failing{}} {
		caddy.RegisterModule(module)
	}
	httpcaddyfile.RegisterHandlerDirective("mark", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		m := new(mark)
		h.Args(&m.Name, &m.Settings)
		return m, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("mark", httpcaddyfile.After, "encode")
}
