// Package demo is the upstream of Caddyfile.example: it makes a resource of each kind, counts how often it was asked for
// each, and changes one when it is told to. It knows nothing of conditional requests. Only cmd/caddy has it; a Caddy that is
// built with the module alone does not.
package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const directive = "conditional_cache_demo"

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterHandlerDirective(directive, func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		handler := new(Handler)
		return handler, handler.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "respond")
}

// Handler is the Caddy module http.handlers.conditional_cache_demo. A resource is named by the last segment of the path, so that
// it can be had under several prefixes:
//
//	GET  /upstream/counts         how often each resource was asked for, as a JSON object
//	POST /upstream/change/<name>  the resource is another one from now on
//
// Counts begin with each configuration that is loaded.
type Handler struct {
	mu       sync.Mutex
	asked    map[string]int
	versions map[string]version
	secret   string // of the form's token
	checked  *http.CrossOriginProtection
}

// version is what a resource is at present: the zero value until it is changed.
type version struct {
	number  uint64
	changed time.Time
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + directive, New: func() caddy.Module { return new(Handler) }}
}

// UnmarshalCaddyfile reads the directive, which is one word.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("%s has no options; write it alone", directive)
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("%s has no block; write it alone", directive)
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(caddy.Context) error {
	h.asked, h.versions = make(map[string]int), make(map[string]version)
	for name := range resources {
		h.asked[name] = 0
	}
	h.secret = letters(tokenLength)
	h.checked = http.NewCrossOriginProtection()
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. There is nothing behind it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if r.URL.Path == "/upstream/counts" {
		return h.tellCounts(w)
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/upstream/change/"); ok {
		return h.change(w, r, name)
	}
	name := path.Base(r.URL.Path)
	send := resources[name]
	if send == nil {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("there is no %s", name))
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return refuseMethod(w, "GET, HEAD")
	}
	return send(w, &page{name, h.count(name), h.secret})
}

// refuseMethod says which methods there are (RFC 9110 §15.5.6).
func refuseMethod(w http.ResponseWriter, allowed string) error {
	w.Header().Set("Allow", allowed)
	return caddyhttp.Error(http.StatusMethodNotAllowed, fmt.Errorf("use %s", allowed))
}

// count counts one request, and returns what the resource is.
func (h *Handler) count(name string) version {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[name]++
	return h.versions[name]
}

func (h *Handler) tellCounts(w http.ResponseWriter) error {
	h.mu.Lock()
	text, err := json.Marshal(h.asked)
	h.mu.Unlock()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(text)
	return err
}

// change makes a resource another one. Pages of other sites, which a browser lets send a POST, are refused.
func (h *Handler) change(w http.ResponseWriter, r *http.Request, name string) error {
	if r.Method != http.MethodPost {
		return refuseMethod(w, "POST")
	}
	if err := h.checked.Check(r); err != nil {
		return caddyhttp.Error(http.StatusForbidden, err)
	}
	if resources[name] == nil {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("there is no %s", name))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions[name] = version{h.versions[name].number + 1, time.Now()}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
