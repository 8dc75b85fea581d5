package exchange_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestForgetting(t *testing.T) {
	post := func(next caddyhttp.HandlerFunc, status int) step {
		return step{method: http.MethodPost, next: next, asked: true, status: status}
	}
	at := func(target string, s step) step { s.target = target; return s }
	cases := map[string][]step{
		"a write":                   {firstVisit, revalidation, post(sends(204, ""), 204), changed()},
		"one that writes no status": {firstVisit, post(func(http.ResponseWriter, *http.Request) error { return nil }, 200), changed()},
		"one that redirects":        {firstVisit, post(sends(303, "", "Location", "/elsewhere"), 303), changed()},
		"one that is refused":       {firstVisit, post(sends(403, ""), 403), revalidation},
		"one that is refused by an error": {
			firstVisit, post(failing(nil, caddyhttp.Error(405, errors.New("x"))), 405), revalidation,
		},
		"one that fails":  {firstVisit, post(sends(500, ""), 500), changed()},
		"one that aborts": {firstVisit, post(aborting(nil, http.ErrAbortHandler), 200), changed()},
		"Location of a write elsewhere": {
			firstVisit, at("/form", post(sends(201, "", "Location", "/"), 201)), changed(),
		},
		"Content-Location of a write elsewhere": {
			firstVisit, at("/form", post(sends(200, "", "Content-Location", "http://example.com/"), 200)), changed(),
		},
		"Location on another server": {
			firstVisit, at("/form", post(sends(201, "", "Location", "http://other.example/"), 201)), revalidation,
		},
		"another query": {firstVisit, at("/?q", post(sends(204, ""), 204)), revalidation},
		"OPTIONS":       {firstVisit, {method: http.MethodOptions, next: sends(204, ""), asked: true, status: 204}, revalidation},
		"PROPFIND":      {firstVisit, {method: "PROPFIND", next: sends(207, ""), asked: true, status: 207}, revalidation},
		"a method of its own": {
			firstVisit, {method: "BREW", next: sends(200, ""), asked: true}, changed(),
		},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) { runSteps(t, remembering(t, nil), steps...) })
	}
}

// TestForgottenBeforeTheAnswer: who has seen a write's answer must not be answered from before it.
func TestForgottenBeforeTheAnswer(t *testing.T) {
	h := remembering(t, nil)
	runSteps(t, h, firstVisit, revalidation)
	v := newVisit(t, http.MethodPut, "/")
	asked := false
	rec := httptest.NewRecorder()
	err := h.ServeHTTP(headWatcher{rec, func() {
		newVisit(t, http.MethodGet, "/", "If-None-Match", strongTag).serve(h, func(w http.ResponseWriter, r *http.Request) error {
			asked = true
			return sendsPage()(w, r)
		})
	}}, v.r, sends(204, ""))
	if err != nil || !asked {
		t.Errorf("error %v; at the time of the head the page was answered from memory: %v", err, !asked)
	}
}

// headWatcher calls a function when the head comes.
type headWatcher struct {
	*httptest.ResponseRecorder
	then func()
}

func (w headWatcher) WriteHeader(status int) {
	w.then()
	w.ResponseRecorder.WriteHeader(status)
}
