package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// longest is the length of the longest page.
const longest = 16 << 20

// pieceOfPage is how much of a chunked page is written at a time.
const pieceOfPage = 4 << 10

// ServeUpstream is the other program that this one is: a plain server. It prints its address, and
// ends with ctx or its standard input, so that it does not outlive the process that has started it.
func ServeUpstream(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: Pages(), ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// changed is when every page that has a date was changed.
var changed = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Tag is the entity tag that the upstream itself gives a page of this length.
func Tag(length int) string { return fmt.Sprintf(`"upstream-%d"`, length) }

// Pages has /length/N with a Content-Length, /chunked/N without one, and /public/N, which may be remembered. These
// have no validators. /etag/N has a tag and a date, /dated/N a date, /stored/N both and a lifetime: of these the
// upstream answers conditions and Range itself. /text/N is prose, which can be compressed as prose can, /markup/N
// a page of it, and /changing/N such a page that is another one each time; all three have at most 64 KiB. /asked says
// how many requests there were for all others.
func Pages() http.Handler {
	text := bytes.Repeat([]byte("<p>A page is text.\n"), longest/16)[:longest]
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/asked", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, asked.Load()) })
	mux.HandleFunc("/{kind}/{length}", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		length, err := strconv.Atoi(r.PathValue("length"))
		if err != nil || length < 0 || length > longest {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		writePage(w, r, r.PathValue("kind"), text[:length])
	})
	return mux
}

// writePage answers with a page of a kind.
func writePage(w http.ResponseWriter, r *http.Request, kind string, text []byte) {
	header := w.Header()
	switch kind {
	case "chunked":
		writePieces(w, text)
		return
	case "stored":
		header.Set("Cache-Control", "public, max-age=3600")
		fallthrough
	case "etag":
		header.Set("Etag", Tag(len(text)))
		fallthrough
	case "dated":
		http.ServeContent(w, r, "", changed, bytes.NewReader(text))
		return
	case "public":
		header.Set("Cache-Control", "public, max-age=60")
	case "text":
		text = Prose(len(text))
	case "markup":
		text = Markup(len(text))
	case "changing":
		text = fmt.Appendf(nil, "<p>%20d</p>%s", changes.Add(1), Markup(len(text)))[:len(text)]
	}
	header.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}

// changes counts the pages that are another one each time.
var changes atomic.Int64

// longestProse is the length of the longest page of prose.
const longestProse = 64 << 10

// prose is made once: the same words in the same order every time.
var prose = sync.OnceValue(func() []byte {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // nobody is to be kept from guessing it
	words := make([]string, 2000)
	for i := range words {
		word := make([]byte, 2+random.IntN(8))
		for k := range word {
			word[k] = byte('a' + random.IntN(26))
		}
		words[i] = string(word)
	}
	var text bytes.Buffer
	for text.Len() < longestProse {
		// The smaller of two: some words are used more than others, as in any language.
		fmt.Fprintf(&text, "%s ", words[min(random.IntN(len(words)), random.IntN(len(words)))])
	}
	return text.Bytes()[:longestProse]
})

// Prose is that many bytes of words.
func Prose(length int) []byte { return prose()[:min(length, longestProse)] }

// markup is prose in the lists and links of a page. 64 KiB of it are some 20 KB in gzip, and take as long to compress, as the
// HTML of Go's language specification does.
var markup = sync.OnceValue(func() []byte {
	var page bytes.Buffer
	words := bytes.Fields(Prose(longestProse))
	for i := 0; page.Len() < longestProse; i += 17 {
		w := func(from, to int) []byte {
			from %= len(words) - 17
			return bytes.Join(words[from:from+to], []byte(" "))
		}
		fmt.Fprintf(&page, "<li class=\"item\"><a href=\"/%s\">%s</a> <span class=\"price\">%d</span>\n\t<p>%s <code>%s</code> %s.</p></li>\n",
			w(i, 1), w(i, 2), i*7919%997, w(i+2, 8), w(i+10, 1), w(i+11, 6))
	}
	return page.Bytes()[:longestProse]
})

// Markup is that many bytes of a page.
func Markup(length int) []byte { return markup()[:min(length, longestProse)] }

// writePieces writes as a template does that has come so far.
func writePieces(w io.Writer, text []byte) {
	for len(text) > 0 {
		n := min(len(text), pieceOfPage)
		if _, err := w.Write(text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// Page is what the upstream says to a path, and nil where it has nothing.
func Page(path string) []byte {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, path, http.NoBody)
	if err != nil {
		return nil
	}
	kept := &keeping{header: make(http.Header), status: http.StatusOK}
	Pages().ServeHTTP(kept, request)
	if kept.status != http.StatusOK {
		return nil
	}
	return kept.body.Bytes()
}

// keeping is a response writer that keeps a body.
type keeping struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *keeping) Header() http.Header         { return k.header }
func (k *keeping) WriteHeader(status int)      { k.status = status }
func (k *keeping) Write(p []byte) (int, error) { return k.body.Write(p) }
