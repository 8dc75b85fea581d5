package rig

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func asked(t *testing.T, handler http.Handler, path string, fields map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for name, value := range fields {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// TestValidatorsOfPages: which page has which, and that the upstream compares what it has.
func TestValidatorsOfPages(t *testing.T) {
	handler := Pages()
	date := changed.Format(http.TimeFormat)
	for _, c := range []struct {
		path, tag, date, lifetime string
		fields                    map[string]string
		status                    int
	}{
		{"/length/100", "", "", "", map[string]string{"If-None-Match": "*", "Range": "bytes=0-9"}, 200},
		{"/public/100", "", "", "public, max-age=60", nil, 200},
		{"/etag/100", Tag(100), date, "", nil, 200},
		{"/etag/100", Tag(100), "", "", map[string]string{"If-None-Match": Tag(100)}, 304},
		{"/etag/100", Tag(100), date, "", map[string]string{"If-None-Match": Tag(99)}, 200},
		{"/etag/100", Tag(100), date, "", map[string]string{"Range": "bytes=0-9"}, 206},
		{"/dated/100", "", date, "", nil, 200},
		{"/dated/100", "", date, "", map[string]string{"If-Modified-Since": date}, 304},
		{"/stored/100", Tag(100), date, "public, max-age=3600", nil, 200},
	} {
		w := asked(t, handler, c.path, c.fields)
		header := w.Header()
		if w.Code != c.status || header.Get("Etag") != c.tag || header.Get("Last-Modified") != c.date || header.Get("Cache-Control") != c.lifetime {
			t.Errorf("%s %v: %d %v", c.path, c.fields, w.Code, header)
		}
		if want := map[int]int{200: 100, 206: 10, 304: 0}[w.Code]; w.Body.Len() != want {
			t.Errorf("%s %v: %d bytes, want %d", c.path, c.fields, w.Body.Len(), want)
		}
	}
	if got := asked(t, handler, "/asked", nil).Body.String(); got != strconv.Itoa(9) {
		t.Errorf("it was asked %s times, want 9", got)
	}
}

// TestProse: it can be compressed as prose can, not as one sentence again and again.
func TestProse(t *testing.T) {
	w := asked(t, Pages(), "/text/65536", nil)
	if w.Body.Len() != 65536 || !bytes.Equal(w.Body.Bytes(), Prose(65536)) {
		t.Errorf("%d bytes", w.Body.Len())
	}
	var coded bytes.Buffer
	writer := gzip.NewWriter(&coded)
	_, _ = writer.Write(w.Body.Bytes())
	_ = writer.Close()
	if part := float64(coded.Len()) / 65536; part < 0.2 || part > 0.6 {
		t.Errorf("gzip makes it %.2f of its length", part)
	}
}

func TestPage(t *testing.T) {
	if got := Page("/etag/100"); len(got) != 100 {
		t.Errorf("%d bytes", len(got))
	}
	for _, path := range []string{"/etag/x", "/", "::"} {
		if got := Page(path); got != nil {
			t.Errorf("%s: %d bytes", path, len(got))
		}
	}
}
