// Package audittest has servers that have one fault each, for tests. What else they do is right.
package audittest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

// Modified is when the page of a good server was changed.
var Modified = time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)

// Look looks at URLs as the command does, with bodies up to Limit.
func Look(t *testing.T, options audit.Options, urls ...string) *audit.Report {
	t.Helper()
	options.MaxBody = Limit
	if err := options.Check(); err != nil {
		t.Fatal(err)
	}
	var all []*url.URL
	for _, text := range urls {
		u, err := audit.ParseURL(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	return audit.Run(t.Context(), &options, all)
}

// Script is a server that is good but for what its functions do. n counts requests.
type Script struct {
	// Kind is its fault, and Also are those that come with it.
	Kind audit.Kind
	Also []audit.Kind
	// Before may change a request before a good server sees it, and Edit the answer behind that.
	Before func(r *http.Request)
	Edit   func(n int, r *http.Request, answer *httptest.ResponseRecorder)
	// Body, Tag, CodedTag and Modified stand for what a good server has.
	Body          func(n int, r *http.Request) string
	Tag, CodedTag func(n int, r *http.Request) string
	Modified      func(n int) time.Time
	// Raw may answer by itself, with the fields that are there.
	Raw func(w http.ResponseWriter, r *http.Request) bool
	// Paths are asked for; none is the plain one.
	Paths []string
	// Replica is a second server with the same name.
	Replica *Script
}

// Handler is the server.
func (s *Script) Handler() http.Handler {
	var requests atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(requests.Add(1))
		if s.Before != nil {
			s.Before(r)
		}
		answer := httptest.NewRecorder()
		s.good(n, answer, r)
		if s.Edit != nil {
			s.Edit(n, r, answer)
		}
		maps.Copy(w.Header(), answer.Header())
		if s.Raw != nil && s.Raw(w, r) {
			return
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// Page is the content of a good server.
const Page = "<!doctype html>\n<title>A page</title>\n<p>The same words each time, and enough of them that a part can be had.</p>\n"

// good does what it should.
func (s *Script) good(n int, w http.ResponseWriter, r *http.Request) {
	body := Page + "<!-- " + r.URL.Path + " -->\n"
	if s.Body != nil {
		body = s.Body(n, r)
	}
	tag := fmt.Sprintf(`"%.8x"`, sha256.Sum256([]byte(body)))
	if s.Tag != nil {
		tag = s.Tag(n, r)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body, tag = coded(body), strings.TrimSuffix(tag, `"`)+`-gzip"`
		if s.CodedTag != nil {
			tag = s.CodedTag(n, r)
		}
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", fmt.Sprint(len(body)))
	}
	h.Set("Etag", tag)
	modified := Modified
	if s.Modified != nil {
		modified = s.Modified(n)
	}
	http.ServeContent(w, r, "", modified, strings.NewReader(body))
}

func coded(body string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(body))
	_ = w.Close()
	return out.String()
}
