package capture

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"sync"
	"testing"
)

// hint sends a 103 (RFC 8297) and takes its field back, as reverse proxies do.
func hint(w http.ResponseWriter, link string) {
	w.Header().Set("Link", link)
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
}

var hintTests = []struct {
	name  string
	inner func(t *testing.T, w http.ResponseWriter)
	hints []string // the Link fields of the 103s
	final string   // the Link field of the final response
}{
	{"before the head", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		hint(w, "</a>")
		writeBody(t, w)
	}, []string{"</a>"}, ""},
	{"twice", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		hint(w, "</a>")
		hint(w, "</b>")
		writeBody(t, w)
	}, []string{"</a>", "</b>"}, ""},
	{"from another goroutine", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		var wg sync.WaitGroup
		wg.Go(func() { hint(w, "</a>") })
		wg.Wait()
		writeBody(t, w)
	}, []string{"</a>"}, ""},
	{"a field that stays set is also the final response's", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		writeBody(t, w)
	}, []string{"</a>"}, "</a>"},
	{"after the head", func(t *testing.T, w http.ResponseWriter) {
		t.Helper()
		w.WriteHeader(http.StatusOK)
		hint(w, "</a>")
		writeBody(t, w)
		hint(w, "</b>")
	}, nil, ""},
}

// RFC 9110 §15.2: any number of informational responses may come before the final one; their fields
// are their own.
func TestInformational(t *testing.T) {
	for _, d := range over(decisions) {
		for _, tt := range hintTests {
			t.Run(d.name+"/"+tt.name, func(t *testing.T) {
				f := newFront(&exchange{atHead: d.Decision}, func(w http.ResponseWriter, _ *http.Request) {
					tt.inner(t, w)
				})
				f.outer = func(h http.Header) { h.Set("X-Outer", "kept") }
				response, links := getHints(t, serve(t, d.major, f))
				if !slices.Equal(links, tt.hints) {
					t.Errorf("hints %q, want %q", links, tt.hints)
				}
				wantFinal := tt.final
				if d.Action == Answer && d.Status == 0 { // Restored, then answered
					wantFinal = ""
				}
				equal(t, "the final response's Link", response.Header.Get("Link"), wantFinal)
				equal(t, "an outer handler's field", response.Header.Get("X-Outer"), "kept")
			})
		}
	}
}

// getHints returns the final response and the Link field of each 103 before it; each of those has to
// carry the outer handlers' field.
func getHints(t *testing.T, server *httptest.Server) (response *http.Response, links []string) {
	t.Helper()
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		if code != http.StatusEarlyHints || header.Get("X-Outer") != "kept" {
			t.Errorf("%d with %v", code, header)
		}
		links = append(links, header.Get("Link"))
		return nil
	}}
	ctx := httptrace.WithClientTrace(t.Context(), trace)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, _ = send(t, server, r)
	return response, links
}

// Between a 103 and the head the outer map is what it was, also when the handler does not clean up.
func TestInformationalLeavesTheOuterMap(t *testing.T) {
	rec := httptest.NewRecorder()
	rec.Header().Set("X-Outer", "kept")
	w, _ := start(t, rec, &exchange{})
	w.Header().Set("Link", "</a>")
	w.Header().Del("X-Outer")
	w.WriteHeader(http.StatusEarlyHints)
	if len(rec.Header()) != 1 || rec.Header().Get("X-Outer") != "kept" {
		t.Errorf("the outer map is %v", rec.Header())
	}
	if found := w.Settle(); found != Untouched || w.Status() != 0 {
		t.Errorf("a 103 counted as a head: %v, status %d", found, w.Status())
	}
}

// RFC 9110 §15.2.2: nothing of HTTP follows a 101.
func TestSwitchingProtocolsIsFinal(t *testing.T) {
	x := &exchange{atHead: streamed()}
	w, _ := start(t, httptest.NewRecorder(), x)
	w.WriteHeader(http.StatusSwitchingProtocols)
	w.WriteHeader(http.StatusOK)
	want := outcome{Streamed, http.StatusSwitchingProtocols, "", true}
	if got := outcomeOf(w); got != want || x.heads != 1 {
		t.Errorf("settled as %+v, asked %d times", got, x.heads)
	}
}

// adds is a writer below that adds a field to every head, as a handler outside may.
type adds struct{ *httptest.ResponseRecorder }

func (w adds) WriteHeader(status int) {
	w.Header().Add("X-Outer", "1")
	if status >= 200 {
		w.ResponseRecorder.WriteHeader(status)
	}
}

// What handlers outside set for a 1xx is not there for the next head, where the map is theirs, too.
func TestInformWithASharedMap(t *testing.T) {
	for _, share := range []bool{false, true} {
		below := adds{httptest.NewRecorder()}
		var h Handle
		var w Response
		w.Start(&h, &Options{Outer: below, Exchange: &exchange{atHead: streamed()}, Budget: new(Budget), Share: share})
		h.Header().Set("Link", "</a.css>")
		h.WriteHeader(http.StatusEarlyHints)
		h.WriteHeader(http.StatusOK)
		w.Settle()
		if lines := below.Header()["X-Outer"]; len(lines) != 1 || below.Header().Get("Link") == "" {
			t.Errorf("shared %t: %v", share, below.Header())
		}
	}
}

// Over HTTP/2 a stream may be reset while a 1xx is written in another goroutine, which then still reads the map that it was
// given (golang.org/x/net v0.60.0, Go 1.26). Nobody may write into that; the race detector sees it.
func TestInformationalToWhoLeaves(t *testing.T) {
	for _, share := range []bool{false, true} {
		var handlers sync.WaitGroup
		server := serve(t, 2, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			handlers.Add(1)
			defer handlers.Done()
			rw.Header().Set("X-Outer", "kept")
			var w Writer
			w.Response.Start(&w.Handle, &Options{Outer: rw, Exchange: &exchange{}, Share: share, HTTP2: r.ProtoMajor == 2})
			for range 50 {
				hint(&w, "</a>")
			}
		}))
		for range 100 {
			ctx, leave := context.WithCancel(t.Context())
			traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
				leave()
				return nil
			}})
			r, err := http.NewRequestWithContext(traced, http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if response, err := server.Client().Do(r); err == nil {
				response.Body.Close()
			}
			leave()
		}
		handlers.Wait()
	}
}
