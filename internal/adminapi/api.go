// Package adminapi adds paths to Caddy's admin endpoint: the status of the stores of `remember`, why answers were no 304,
// and purging.
//
//	GET  /conditional_cache/       the stores and their counters, and the bytes of bodies that are buffered
//	GET  /conditional_cache/top    why answers were no 304, and at which URLs tags never repeat
//	POST /conditional_cache/purge  {"url": …}, {"prefix": …} or {"all": true}, and "store" for one store only
//
// Caddy decides who may call: its admin endpoint refuses foreign hosts and origins before it asks this package.
package adminapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const (
	bare      = "/conditional_cache"
	root      = bare + "/"
	purgePath = "purge"
	topPath   = "top"
)

// Held says how much memory buffered bodies take now, and may take.
type Held struct {
	// Bytes are held by this process.
	Bytes int64 `json:"bytes"`
	// MaxTotal is max_total of the running configuration.
	MaxTotal int64 `json:"max_total"`
}

// API adds the paths /conditional_cache/ (status of the stores), /conditional_cache/top (why answers were no 304) and
// /conditional_cache/purge to Caddy's admin endpoint. It has no settings, and is there in every Caddy with this module.
type API struct {
	held    func() Held
	counted Counted
	stores  *registry
	log     func() *zap.Logger // Caddy's at the time: the API outlives configurations
}

// New makes the module. The function is called for every status that is asked for, from any goroutine.
func New(held func() Held, counted Counted) *API { return &API{held, counted, &live, logger} }

func logger() *zap.Logger { return caddy.Log().Named("admin.api.conditional_cache") }

// CaddyModule returns the Caddy module information.
func (a *API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.conditional_cache", New: func() caddy.Module { return &API{a.held, a.counted, a.stores, a.log} }}
}

// Routes implements caddy.AdminRouter.
func (a *API) Routes() []caddy.AdminRoute {
	handler := caddy.AdminHandlerFunc(a.serve)
	return []caddy.AdminRoute{{Pattern: root, Handler: handler}, {Pattern: bare, Handler: handler}}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	switch r.URL.Path {
	case root, bare:
		return allow(w, r, a.status, http.MethodGet, http.MethodHead)
	case root + topPath:
		return allow(w, r, a.top, http.MethodGet, http.MethodHead)
	case root + purgePath:
		return allow(w, r, a.purge, http.MethodPost)
	}
	return refuse(http.StatusNotFound, "there is nothing here; GET %s is the status, GET %s why there was no 304, POST %s purges", root, root+topPath, root+purgePath)
}

// allow calls the handler for the methods it is for. RFC 9110 §15.5.6: a 405 says which these are.
func allow(w http.ResponseWriter, r *http.Request, handle caddy.AdminHandlerFunc, methods ...string) error {
	if slices.Contains(methods, r.Method) {
		return handle(w, r)
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return refuse(http.StatusMethodNotAllowed, "%s is not a method of %s; use %s", r.Method, r.URL.Path, methods[0])
}

// status is what is answered to GET.
type status struct {
	Held   Held          `json:"held"`
	Coded  *coding.Stats `json:"encode_once,omitempty"` // nil: no handler has it
	Stores []storeStatus `json:"stores"`
}

type storeStatus struct {
	Name string `json:"name"`
	validators.Stats
}

func (a *API) status(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, status{Held: a.held(), Coded: codedNow(), Stores: a.storesNow()})
}

func codedNow() *coding.Stats {
	if now := coding.All(); now.MaxBytes > 0 {
		return &now
	}
	return nil
}

func (a *API) storesNow() []storeStatus {
	all := []storeStatus{}
	for _, u := range a.stores.list() {
		all = append(all, storeStatus{u.name, u.store.Stats()})
	}
	return all
}

func answer(w http.ResponseWriter, code int, content any) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // who asked has gone if this fails
	return nil
}

// refuse makes an error that Caddy writes as {"error": "…"}.
func refuse(code int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: code, Err: fmt.Errorf(format, args...)}
}

// Interface guards
var (
	_ caddy.Module      = (*API)(nil)
	_ caddy.AdminRouter = (*API)(nil)
)
