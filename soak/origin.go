package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/soak/truth"
)

// origin is the upstream of one site. It has what is true, and sends that in good and in bad manners: late, in chunks,
// behind hints, cut off, or an error in its place.
type origin struct {
	places map[string]*truth.Place // by path
	book   *book
	server *http.Server
	addr   string
}

// book is what clients and upstreams tell each other about requests under way.
type book struct {
	writes sync.Map // of *truth.Write, by request
	faulty sync.Map // requests that were answered with a fault
	wrong  func(r *http.Request, page *truth.Page, problem string)
}

func (b *book) fault(r *http.Request) { b.faulty.Store(r.Header.Get(truth.IDField), true) }

// wasFaulty reports whether a request was answered with a fault, and forgets it.
func (b *book) wasFaulty(id string) bool {
	_, faulty := b.faulty.LoadAndDelete(id)
	return faulty
}

func startOrigin(places []*truth.Place, b *book) (*origin, error) {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("an upstream: %w", err)
	}
	o := &origin{places: make(map[string]*truth.Place), book: b, addr: listener.Addr().String()}
	for _, p := range places {
		o.places[p.Path] = p
	}
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: time.Minute, ErrorLog: quiet}
	go func() { _ = o.server.Serve(listener) }()
	return o, nil
}

func (o *origin) stop() { _ = o.server.Close() }

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	place := o.places[r.URL.Path]
	if place == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	page := place.Of(userOf(r))
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		o.show(w, r, page)
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	default:
		o.write(w, r, page)
	}
}

func userOf(r *http.Request) string {
	cookie, err := r.Cookie("sid")
	if err != nil {
		return ""
	}
	return cookie.Value
}

// show answers with the version that is current.
func (o *origin) show(w http.ResponseWriter, r *http.Request, page *truth.Page) {
	o.dawdle(r)
	if o.fails(w, r) {
		return
	}
	n, gone := page.Now()
	if gone {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	style := page.Place.Style
	h := w.Header()
	h.Set(truth.StampField, page.Stamp(n))
	o.dress(h, page, n)
	if style.Hints {
		h.Set("Link", "</style.css>; rel=preload; as=style")
		w.WriteHeader(http.StatusEarlyHints)
	}
	text := page.Text(n)
	if style.Form {
		nonce := fmt.Sprintf("%016x", rand.Uint64())
		h.Set("Content-Security-Policy", "script-src 'nonce-"+nonce+"'")
		text = page.WithToken(text, nonce)
	}
	if style.Tagged && o.judges(w, r, page, n) {
		return
	}
	if notSince(r, n) && style.Dated && !style.Tagged {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	o.send(w, r, style, text)
}

// dress sets the fields of a page.
func (o *origin) dress(h http.Header, page *truth.Page, n int) {
	style := page.Place.Style
	h.Set("Content-Type", "text/html; charset=utf-8")
	for name, value := range map[string]string{"Cache-Control": style.Cache, "Vary": style.Vary} {
		if value != "" {
			h.Set(name, value)
		}
	}
	if style.Dated {
		h.Set("Last-Modified", truth.DateText(n))
	}
	if style.Tagged {
		h.Set("Etag", page.Tag(n))
	}
}

// judges answers by the upstream's own tag, if that is what the request wants.
func (o *origin) judges(w http.ResponseWriter, r *http.Request, page *truth.Page, n int) bool {
	tag := strings.TrimPrefix(page.Tag(n), "W/")
	if match := r.Header.Get("If-Match"); match != "" && match != "*" && (page.Place.Style.Weak || !strings.Contains(match, tag)) {
		w.WriteHeader(http.StatusPreconditionFailed)
		return true
	}
	if lines := r.Header["If-None-Match"]; len(lines) > 0 {
		if strings.Contains(strings.Join(lines, ","), tag) {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
		return false
	}
	if page.Place.Style.Dated && notSince(r, n) {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	return false
}

// notSince reports whether If-Modified-Since is there, and false.
func notSince(r *http.Request, n int) bool {
	if r.Header["If-None-Match"] != nil {
		return false
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !truth.Date(n).After(since)
}

// send sends a body: at once or in pieces, sometimes with a pause that is longer than a response is held, sometimes cut off.
func (o *origin) send(w http.ResponseWriter, r *http.Request, style *truth.Style, text string) {
	if !style.Chunked {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	}
	if r.Method == http.MethodHead {
		return
	}
	cut, late := chance(100), chance(100)
	if !style.Chunked && !cut && !late {
		_, _ = io.WriteString(w, text)
		return
	}
	half := len(text) / 2
	_, _ = io.WriteString(w, text[:half])
	_ = http.NewResponseController(w).Flush()
	if late {
		pause(r.Context(), 300*time.Millisecond)
	}
	if cut {
		o.book.fault(r)
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, text[half:])
}

// fails answers with an error, or with nothing.
func (o *origin) fails(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case chance(50):
		o.book.fault(r)
		w.Header().Set(truth.FaultField, "told")
		w.WriteHeader([]int{500, 503}[rand.IntN(2)])
		_, _ = io.WriteString(w, "out of order")
		return true
	case chance(100):
		o.book.fault(r)
		panic(http.ErrAbortHandler)
	}
	return false
}

// chance is true once in so many times.
func chance(in int) bool { return rand.IntN(in) == 0 }

// dawdle takes its time.
func (o *origin) dawdle(r *http.Request) {
	switch n := rand.IntN(100); {
	case n < 20:
		pause(r.Context(), time.Duration(rand.IntN(5000))*time.Microsecond)
	case n == 20:
		pause(r.Context(), time.Duration(rand.IntN(100))*time.Millisecond)
	}
}

// write makes a new version, whoever has left meanwhile.
func (o *origin) write(w http.ResponseWriter, r *http.Request, page *truth.Page) {
	found, ok := o.book.writes.Load(r.Header.Get(truth.IDField))
	content, err := io.ReadAll(r.Body)
	if !ok || err != nil {
		o.book.fault(r)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	write := found.(*truth.Write)
	if len(content) != write.Size {
		o.book.wrong(r, page, fmt.Sprintf("a write of %d bytes, and %d have come", write.Size, len(content)))
	}
	stays := context.WithoutCancel(r.Context())
	pause(stays, time.Duration(rand.IntN(3000))*time.Microsecond)
	if chance(100) {
		o.book.fault(r)
		panic(http.ErrAbortHandler) // it is not done
	}
	n, ok := o.apply(r, page, write)
	if !ok {
		w.WriteHeader(http.StatusConflict)
		return
	}
	if rand.IntN(4) == 0 {
		pause(stays, time.Duration(rand.IntN(3000))*time.Microsecond)
	}
	switch rand.IntN(100) {
	case 0:
		o.book.fault(r)
		panic(http.ErrAbortHandler) // it is done, and nobody hears of it
	case 1:
		o.book.fault(r)
		w.Header().Set(truth.FaultField, "told")
		w.WriteHeader(http.StatusInternalServerError)
	default:
		w.Header().Set(truth.StampField, page.Stamp(n))
		w.WriteHeader(http.StatusNoContent)
	}
}

// apply does what a write wants.
func (o *origin) apply(r *http.Request, page *truth.Page, write *truth.Write) (n int, ok bool) {
	gone := r.Method == http.MethodDelete
	if write.Base == nil {
		n = page.Change(time.Now, gone && page.Place.Style.Edited)
	} else {
		var problem string
		if n, problem = page.ChangeUpon(*write.Base, time.Now, gone); problem != "" {
			o.book.wrong(r, page, problem)
			return 0, false
		}
	}
	write.Done(n)
	return n, true
}

// pause waits, or does not while nobody waits for what comes then.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
