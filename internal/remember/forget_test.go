package remember_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
)

// TestWitness: what is forgotten, before the answer goes out and at its end.
func TestWitness(t *testing.T) {
	cases := map[string]struct {
		do        func(w http.ResponseWriter)
		head, end string
	}{
		"status":          {func(w http.ResponseWriter) { w.WriteHeader(204) }, "204 ", "204 "},
		"informational":   {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(201) }, "201 ", "201 "},
		"101":             {func(w http.ResponseWriter) { w.WriteHeader(101) }, "101 ", "101 "},
		"body":            {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") }, "200 ", "200 "},
		"ReadFrom":        {func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader("x")) }, "200 ", "200 "},
		"flush":           {func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }, "200 ", "200 "},
		"once":            {func(w http.ResponseWriter) { w.WriteHeader(404); _, _ = w.Write(nil) }, "404 ", "404 "},
		"nothing written": {func(http.ResponseWriter) {}, "", "500 "},
	}
	for name, c := range cases {
		got := ""
		w := &remember.Witness{ResponseWriter: httptest.NewRecorder(), Forget: func(status int, _ http.Header) { got += fmt.Sprint(status, " ") }}
		c.do(w)
		if got != c.head {
			t.Errorf("%s: before the end %q, want %q", name, got, c.head)
		}
		w.End(500)
		if got != c.head+c.end {
			t.Errorf("%s: in all %q, want %q", name, got, c.head+c.end)
		}
	}
}

// TestWitnessKnowsTheURIsAtTheEnd: those that the head has named, whatever becomes of the header map.
func TestWitnessKnowsTheURIsAtTheEnd(t *testing.T) {
	rec := httptest.NewRecorder()
	var named []string
	w := &remember.Witness{ResponseWriter: rec, Forget: func(_ int, h http.Header) { named = append(named, h.Get("Location")) }}
	w.Header().Set("Location", "/made")
	w.WriteHeader(http.StatusCreated)
	clear(rec.Header())
	w.End(http.StatusCreated)
	if len(named) != 2 || named[0] != "/made" || named[1] != "/made" {
		t.Errorf("named %q", named)
	}
}

// TestWitnessAmends: the fields are put in order once, before the answer goes out, and before what they name is forgotten.
func TestWitnessAmends(t *testing.T) {
	for name, do := range map[string]func(w http.ResponseWriter){
		"status":          func(w http.ResponseWriter) { w.WriteHeader(201); w.WriteHeader(201) },
		"body":            func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x"); _, _ = io.WriteString(w, "x") },
		"ReadFrom":        func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader("x")) },
		"flush":           func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		"nothing written": func(http.ResponseWriter) {},
	} {
		rec := httptest.NewRecorder()
		said := ""
		w := &remember.Witness{
			ResponseWriter: rec,
			Amend:          func(status int, h http.Header) { said += fmt.Sprint("amend ", status, " "); h.Del("Etag") },
			Forget:         func(int, http.Header) { said += "forget " },
		}
		w.Header().Set("Etag", `"abc"`)
		do(w)
		w.End(500)
		if strings.Count(said, "amend") != 1 || !strings.HasPrefix(said, "amend") || strings.Count(said, "forget") == 0 || rec.Result().Header["Etag"] != nil {
			t.Errorf("%s: %q, and out went %v", name, said, rec.Result().Header)
		}
		if name == "status" && said != "amend 201 forget forget " {
			t.Errorf("%s: %q", name, said)
		}
	}
	alone := &remember.Witness{ResponseWriter: httptest.NewRecorder()}
	alone.WriteHeader(204)
	alone.End(204)
}

// pushing is a writer of a connection that can push.
type pushing struct {
	*httptest.ResponseRecorder
	pushed string
}

func (p *pushing) Push(target string, _ *http.PushOptions) error {
	p.pushed = target
	return nil
}

// TestWitnessPushes: a push passes, where there is somebody to take it.
func TestWitnessPushes(t *testing.T) {
	below := &pushing{ResponseRecorder: httptest.NewRecorder()}
	if err := (&remember.Witness{ResponseWriter: below}).Push("/style.css", nil); err != nil || below.pushed != "/style.css" {
		t.Errorf("pushed %q (%v)", below.pushed, err)
	}
	if err := (&remember.Witness{ResponseWriter: below.ResponseRecorder}).Push("/style.css", nil); err == nil {
		t.Error("nobody can push, and nobody says so")
	}
}
