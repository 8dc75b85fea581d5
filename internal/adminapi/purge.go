package adminapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// maxBody is the longest body that is read; a URL fits into it many times.
const maxBody = 64 << 10

const sayOne = `say one of {"url": "https://example.com/page"}, {"prefix": "https://example.com/blog"} and {"all": true}`

// order is the body of a purge. A member that is absent is not the same as one that is empty.
type order struct {
	URL    *string `json:"url"`
	Prefix *string `json:"prefix"`
	All    *bool   `json:"all"`
	Store  *string `json:"store"`
}

// outcome is the answer to a purge. After a failure it has the member that Caddy's errors have, too.
type outcome struct {
	Error  string            `json:"error,omitempty"`
	Purged []string          `json:"purged"`
	Failed map[string]string `json:"failed,omitempty"`
}

// purge answers once every store has done it: with 200 if no request to this process is answered any more with
// what is purged.
func (a *API) purge(w http.ResponseWriter, r *http.Request) error {
	o, err := readOrder(w, r)
	if err != nil {
		return err
	}
	do, err := o.action()
	if err != nil {
		return err
	}
	stores, err := a.chosen(o.Store)
	if err != nil {
		return err
	}
	// Who hangs up does not leave it half done.
	done := apply(context.WithoutCancel(r.Context()), do, stores)
	if o.All != nil && o.Store == nil && coding.PurgeAll() {
		done.Purged = append(done.Purged, "encode_once")
	}
	a.log().Info("purged", zap.Object("what", o), zap.Strings("stores", done.Purged), zap.Any("failed", done.Failed), zap.String("remote_addr", r.RemoteAddr))
	if len(done.Failed) > 0 {
		return answer(w, http.StatusServiceUnavailable, done)
	}
	return answer(w, http.StatusOK, done)
}

// readOrder takes any media type, as curl's default is that of a form, but nothing else than JSON.
func readOrder(w http.ResponseWriter, r *http.Request) (o order, err error) {
	if r.URL.RawQuery != "" {
		return o, refuse(http.StatusBadRequest, "what to purge is said in a JSON body, not in the query; %s", sayOne)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return o, refuse(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes; %s", maxBody, sayOne)
	}
	if err != nil {
		return o, refuse(http.StatusBadRequest, "reading the body: %w", err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return o, refuse(http.StatusBadRequest, "the body is empty; %s", sayOne)
	}
	if name := nullMember(body); name != "" {
		return o, refuse(http.StatusBadRequest, "%s is null; leave it out, and %s", name, sayOne)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		return o, refuse(http.StatusBadRequest, "the body: %w; %s", err, sayOne)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return o, refuse(http.StatusBadRequest, "the body has more than one JSON value; %s", sayOne)
	}
	return o, nil
}

// nullMember is the name of a member that is null: whoever writes that has meant to name something.
func nullMember(body []byte) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return "" // the decoder says what is wrong
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if string(members[name]) == "null" {
			return name
		}
	}
	return ""
}

// MarshalLogObject implements zapcore.ObjectMarshaler: what is to be purged, as it was said.
func (o order) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for _, member := range [...]struct {
		name string
		text *string
	}{{"url", o.URL}, {"prefix", o.Prefix}, {"store", o.Store}} {
		if member.text != nil {
			enc.AddString(member.name, *member.text)
		}
	}
	if o.All != nil {
		enc.AddBool("all", *o.All)
	}
	return nil
}

// action is what one store is to do.
type action func(context.Context, validators.Store) error

func (o order) action() (action, error) {
	given := 0
	for _, is := range []bool{o.URL != nil, o.Prefix != nil, o.All != nil} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return nil, refuse(http.StatusBadRequest, "nothing is named to purge; %s", sayOne)
	case given > 1:
		return nil, refuse(http.StatusBadRequest, "url, prefix and all are three purges; %s", sayOne)
	case o.URL != nil:
		return forgetURL(*o.URL)
	case o.Prefix != nil:
		return purgePrefix(*o.Prefix)
	case !*o.All:
		return nil, refuse(http.StatusBadRequest, "all is true or not there; %s", sayOne)
	}
	return purgeScope(validators.Scope{}), nil
}

func forgetURL(text string) (action, error) {
	u, err := parseURL(text)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "url: %w", err)
	}
	uri := validators.NewURI(u.Host, u)
	return func(ctx context.Context, store validators.Store) error { return store.Forget(ctx, uri) }, nil
}

func purgePrefix(text string) (action, error) {
	u, err := parseURL(text)
	if err == nil && strings.Contains(text, "?") {
		err = fmt.Errorf("%q has a query; a prefix covers its path and all below it, whatever the query (for one page, say url)", text)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "prefix: %w", err)
	}
	uri := validators.NewURI(u.Host, u)
	return purgeScope(validators.Scope{Host: uri.Host, Path: uri.Path}), nil
}

func purgeScope(scope validators.Scope) action {
	return func(ctx context.Context, store validators.Store) error { return store.Purge(ctx, scope) }
}

// chosen are the stores to purge: all, or those of that name.
func (a *API) chosen(name *string) ([]*use, error) {
	stores := a.stores.list()
	if name == nil {
		return stores, nil
	}
	if of := slices.DeleteFunc(slices.Clone(stores), func(u *use) bool { return u.name != *name }); len(of) > 0 {
		return of, nil
	}
	if len(stores) == 0 {
		return nil, refuse(http.StatusNotFound, "store: %q is not in use, nor is any other", *name)
	}
	return nil, refuse(http.StatusNotFound, "store: %q is not in use; there is %s", *name, strings.Join(names(stores), ", "))
}

// names are the names of stores, each once.
func names(of []*use) []string {
	all := make([]string, len(of))
	for i, u := range of {
		all[i] = u.name
	}
	return slices.Compact(all) // they are sorted
}

// apply goes on after a failure: what can be purged, is.
func apply(ctx context.Context, do action, stores []*use) outcome {
	failed := make(map[string]string)
	for _, u := range stores {
		if err := do(ctx, u.store); err != nil {
			failed[u.name] = cmp.Or(err.Error(), "it failed")
		}
	}
	purged := slices.DeleteFunc(names(stores), func(name string) bool { return failed[name] != "" })
	done := outcome{Purged: purged, Failed: failed}
	if len(failed) > 0 {
		done.Error = "not purged, or not everywhere: " + strings.Join(failures(failed), "; ") + "; send the same again"
	}
	return done
}

func failures(of map[string]string) []string {
	all := make([]string, 0, len(of))
	for name, err := range of {
		all = append(all, name+": "+err)
	}
	slices.Sort(all)
	return all
}
