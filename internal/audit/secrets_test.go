package audit_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/audittest"
	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/report"
)

// given is what a user has given to say who he is, and no report may have.
var given = []string{"bearer-s3cret<&>", "cookie-s3cret.1", "ada:pass-s3cret", "pass-s3cret", longSecret}

// longSecret is longer than what is shown of a body.
const longSecret = "long-s3cret-0123456789-0123456789-0123456789-0123456789-its-end"

func optionsWithSecrets() audit.Options {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(given[2]))
	return audit.Options{
		Header:  http.Header{"Authorization": {"Bearer " + given[0]}, "X-Proxy-Authorization": {basic}, "X-Key": {longSecret}},
		Cookies: []audit.Cookie{{Host: "127.0.0.1", Path: "/", Name: "session", Value: given[1]}},
	}
}

// printed is a report in all its forms.
func printed(t *testing.T, r *audit.Report) string {
	t.Helper()
	var out bytes.Buffer
	for _, err := range []error{report.Text(&out, r, 0, false), report.JSON(&out, r, 0), report.HTML(&out, r, 0, "today")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// seen are the fields of the requests that a server got.
type seen struct {
	mu       sync.Mutex
	requests []http.Header
}

func (s *seen) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Header.Clone())
}

// with counts the requests that had the secrets.
func (s *seen) with() (with, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.requests {
		if strings.Contains(h.Get("Authorization"), given[0]) && strings.Contains(h.Get("Cookie"), given[1]) {
			with++
		} else if h.Get("Authorization")+h.Get("Cookie")+h.Get("X-Proxy-Authorization") != "" {
			with += 1000
		}
	}
	return with, len(s.requests)
}

// TestSecretsAreInNoReport: a server that sends everything back, in every field and in a body that changes.
func TestSecretsAreInNoReport(t *testing.T) {
	var got seen
	n := 0
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.note(r)
		n++
		all := strings.Join(append(r.Header["Authorization"], append(r.Header["X-Proxy-Authorization"], r.Header["Cookie"]...)...), " ")
		plain := strings.Join(given, " ")
		for _, name := range []string{"Etag", "Last-Modified", "Cache-Control", "Content-Language", "Vary", "Expires"} {
			w.Header().Set(name, all+" "+plain+fmt.Sprint(n))
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, "<p>%s</p><p>rendered for %s in %d ms by %s</p>", all, plain, n, plain)
	}))
	text := printed(t, run(t, optionsWithSecrets(), server.URL+"/"+strings.ReplaceAll(given[1], "1", "2")))
	if with, all := got.with(); with != all || all < 5 {
		t.Errorf("%d of %d requests had the secrets", with, all)
	}
	if !strings.Contains(text, "malformed_tag") || !strings.Contains(text, "unstable_body") {
		t.Error("the report does not speak of what has the secrets")
	}
	if strings.Contains(text, longSecret[len(longSecret)-8:]) {
		t.Error("the end of a secret is in the report")
	}
	for _, secret := range given {
		for _, form := range []string{secret, secret[:len(secret)-1], base64.StdEncoding.EncodeToString([]byte(secret)), strings.ReplaceAll(secret, "<&>", "&lt;&amp;&gt;")} {
			if form != given[1][:len(given[1])-1] && strings.Contains(text, form) {
				t.Errorf("%q is in the report", form)
			}
		}
	}
}

// TestSecretsStayAtTheirOrigin: a redirect to another port is followed without them, one to another host is not followed.
func TestSecretsStayAtTheirOrigin(t *testing.T) {
	var here, there seen
	other := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there.note(r)
		audittest.Good.Handler().ServeHTTP(w, r)
	}))
	for _, test := range []struct {
		name, location, finding string
		requests                bool
	}{
		{"another port", other.URL, "redirected", true},
		{"another host", strings.Replace(other.URL, "127.0.0.1", "localhost", 1), "not_ok", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			there = seen{}
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				here.note(r)
				w.Header().Set("Location", test.location+"/there")
				w.WriteHeader(http.StatusFound)
			}))
			page := run(t, optionsWithSecrets(), server.URL).Pages[0]
			if with, _ := here.with(); with == 0 {
				t.Error("not even the given URL got them")
			}
			if with, all := there.with(); with != 0 || (all > 0) != test.requests {
				t.Errorf("%d of %d requests had the secrets", with, all)
			}
			if len(page.Findings) != 1 || page.Findings[0].Kind.String() != test.finding {
				t.Errorf("%+v", page.Findings)
			}
		})
	}
}

// TestCookiesOfTheServer: what the first answer sets is sent with the next ones, as browsers do, so that a page that
// greets who comes for the first time is steady.
func TestCookiesOfTheServer(t *testing.T) {
	good := audittest.Good.Handler()
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("visit"); err != nil {
			w.Header().Set("Set-Cookie", "visit=1; Path=/")
			w.Header().Set("Etag", `"for-the-first-time"`)
			_, _ = fmt.Fprint(w, "welcome")
			return
		}
		good.ServeHTTP(w, r)
	}))
	if got := names(run(t, audit.Options{}, server.URL)); got != nil {
		t.Error(got)
	}
}
