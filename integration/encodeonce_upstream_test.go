package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// longDate is the Last-Modified of the pages that have one.
var longDate = time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)

// pageOf is a content of its own for each path and query, long enough that it is not sent in one packet.
func pageOf(r *http.Request) string {
	return "<!doctype html><p>" + r.URL.RequestURI() + "</p>\n" + strings.Repeat("<p>A line that all pages have, and that compresses well.</p>\n", 200)
}

// onceRow is a page of an upstream behind encode_once.
type onceRow struct {
	path  string
	coded bool // encode_once compresses it from the second time on
	send  func(w http.ResponseWriter, r *http.Request)
}

// withFields is a page with fields, as names and values.
func withFields(pairs ...string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for i := 0; i < len(pairs); i += 2 {
			w.Header().Set(pairs[i], pairs[i+1])
		}
		_, _ = io.WriteString(w, pageOf(r))
	}
}

// onceRows are all of them, but for those that Caddy makes itself.
var onceRows = []onceRow{
	{"/page", true, withFields()},
	{"/json", true, withFields("Content-Type", "application/json")},
	{"/dated", true, withFields("Last-Modified", longDate.Format(http.TimeFormat))},
	{"/confirming", true, confirming},
	{"/varied", true, withFields("Vary", "Cookie, accept-encoding")},
	{"/cookie", true, withFields("Set-Cookie", "a=b", "Cache-Control", "private")},
	{"/digest", true, withFields("Repr-Digest", "sha-256=:AAAA:", "Content-Digest", "sha-256=:AAAA:")},
	{"/untyped", true, untyped},
	{"/chunks", true, inChunks},
	{"/rendered", true, nil}, // by templates
	{"/image", false, withFields("Content-Type", "image/png")},
	{"/untransformed", false, withFields("Cache-Control", "max-age=60, no-transform")},
	{"/unstored", false, withFields("Cache-Control", "no-store")},
	{"/tagged", false, withFields("Etag", `"of-upstream"`)},
	{"/compressed", false, compressed},
	{"/short", false, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<p>short</p>") }},
	{"/empty", false, func(http.ResponseWriter, *http.Request) {}},
	{"/nothing", false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
	{"/missing", false, func(w http.ResponseWriter, r *http.Request) { http.Error(w, pageOf(r), http.StatusNotFound) }},
	{"/events", false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		inChunks(w, r)
	}},
	{"/trailers", false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		inChunks(w, r)
		w.Header().Set("X-End", "reached")
	}},
	{"/late-trailers", false, func(w http.ResponseWriter, r *http.Request) {
		inChunks(w, r)
		w.Header().Set(http.TrailerPrefix+"X-End", "reached")
	}},
	{"/large", false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat(pageOf(r), 25))
	}},
	{"/files/page.html", false, nil},
	{"/precompressed/page.html", false, nil},
}

func confirming(w http.ResponseWriter, r *http.Request) {
	if since, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil && !longDate.After(since) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	withFields("Last-Modified", longDate.Format(http.TimeFormat))(w, r)
}

func untyped(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = nil
	_, _ = io.WriteString(w, pageOf(r))
}

func inChunks(w http.ResponseWriter, r *http.Request) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	page := pageOf(r)
	for len(page) > 0 {
		n := min(len(page), 4000)
		_, _ = io.WriteString(w, page[:n])
		_ = http.NewResponseController(w).Flush()
		page = page[n:]
	}
}

// compressed is a page of an upstream that compresses by itself, for whoever asks.
func compressed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Vary", "Accept-Encoding")
	_, _ = w.Write(gzipOf(pageOf(r)))
}

func gzipOf(text string) []byte {
	var to bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&to, gzip.NoCompression) // a level that there is; what is longer than 512 bytes is seen to be left alone
	_, _ = io.WriteString(writer, text)
	_ = writer.Close()
	return to.Bytes()
}

// onceUpstream serves onceRows.
func onceUpstream() http.Handler {
	mux := http.NewServeMux()
	for _, row := range onceRows {
		if row.send != nil {
			mux.HandleFunc(row.path, row.send)
		}
	}
	return mux
}

// onceFolder has the files of the rows that Caddy makes itself.
func onceFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	page := strings.Repeat("<p>A line of a file.</p>\n", 300)
	for name, content := range map[string][]byte{
		"rendered":                   []byte("<p>{{.Req.URL.RequestURI}}</p>\n" + `{{range until 300}}<p>A row.</p>{{end}}`),
		"files/page.html":            []byte(page),
		"precompressed/page.html":    []byte(page),
		"precompressed/page.html.gz": gzipOf(page),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// decodedBody is the content of an answer whose octets are as they came.
func decodedBody(coding, body string) (string, error) {
	var from io.Reader
	var err error
	switch coding {
	case "":
		return body, nil
	case "gzip":
		from, err = gzip.NewReader(strings.NewReader(body))
	case "zstd":
		from, err = zstd.NewReader(strings.NewReader(body), zstd.WithDecoderConcurrency(1))
	default:
		err = fmt.Errorf("a coding that nobody asked for: %s", coding)
	}
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(from)
	return string(content), err
}
