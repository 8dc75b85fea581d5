package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/soak/truth"
)

// crowd are the clients, and what they share.
type crowd struct {
	run        *run
	transports []*transport
	last       atomic.Uint64 // the number of the latest request
}

// client asks one thing after another. It is one goroutine's.
type client struct {
	*crowd
	*transport
	rnd *rand.Rand
}

func (c *crowd) newClient(n int) *client {
	return &client{crowd: c, transport: c.transports[n%len(c.transports)], rnd: rand.New(rand.NewPCG(c.run.seed, uint64(n)))} //nolint:gosec // n is not negative
}

// question is a request that is to be sent.
type question struct {
	site   *site
	page   *truth.Page
	user   string
	method string
	header http.Header
	kind   string
	write  *truth.Write
	stalls bool // its content does not end
	slowly bool // its answer is read so
	leaves time.Duration
}

// patience is how long a client waits. A guarded write may wait for ten seconds, and be read for as long before.
const patience = time.Minute

// work asks for one page after another until the time is over, for each some times: who has a page soon asks for it again.
func (c *client) work(ctx context.Context) {
	for ctx.Err() == nil {
		s := c.run.asked[c.rnd.IntN(len(c.run.asked))]
		place := s.places[min(c.rnd.IntN(len(s.places)), c.rnd.IntN(len(s.places)))]
		user := truth.Users[c.rnd.IntN(len(truth.Users))]
		for n := 1 + c.rnd.IntN(4); n > 0 && ctx.Err() == nil; n-- {
			q := &question{site: s, page: place.Of(user), user: user, method: http.MethodGet, header: make(http.Header), kind: "plain"}
			c.choose(q)
			c.ask(q)
		}
	}
}

// choose decides what is asked.
func (c *client) choose(q *question) {
	style := q.page.Place.Style
	switch n := c.rnd.IntN(1000); {
	case n < 90 && style.Edited, n < 400 && q.site.Strong:
		c.edit(q)
	case n < 50 && !style.Edited && q.site.origin != nil:
		q.method = []string{http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete}[c.rnd.IntN(4)]
		q.kind, q.write = "write", &truth.Write{Page: q.page, Size: c.size()}
	case n < 60 && q.site.origin != nil:
		q.method, q.kind = http.MethodOptions, "options"
	case n < 120:
		q.method, q.kind = http.MethodHead, "head"
		c.condition(q)
	case n < 220:
		c.part(q)
	default:
		c.condition(q)
	}
	c.mannersOf(q)
}

// size of a write's content: mostly one that is read before its turn, sometimes one that is not.
func (c *client) size() int {
	if c.rnd.IntN(10) == 0 {
		return 70_000 + c.rnd.IntN(100_000)
	}
	return 1 + c.rnd.IntN(2000)
}

// mannersOf: some accept gzip, some leave, some read slowly.
func (c *client) mannersOf(q *question) {
	if q.header.Get("Range") == "" && c.rnd.IntN(2) == 0 {
		q.header.Set("Accept-Encoding", "gzip")
	}
	if q.user != "" {
		q.header.Set("Cookie", "sid="+q.user)
	}
	switch n := c.rnd.IntN(200); {
	case n < 6:
		q.leaves = time.Duration(1+c.rnd.IntN(20_000)) * time.Microsecond
	case n == 6:
		q.leaves = time.Duration(1+c.rnd.IntN(600)) * time.Millisecond
	case n < 9:
		q.slowly = true
	}
	if q.write != nil && q.write.Size > 0 && c.rnd.IntN(60) == 0 {
		q.stalls, q.leaves = true, time.Duration(200+c.rnd.IntN(800))*time.Millisecond
	}
}

// condition asks whether what somebody has is still good.
func (c *client) condition(q *question) {
	have, ok := q.page.Place.Any(q.user, c.rnd)
	if !ok || c.rnd.IntN(8) == 0 {
		return
	}
	own := have.Page == q.page
	switch n := c.rnd.IntN(20); {
	case n == 0:
		q.kind = "garbage"
		q.header.Set("If-None-Match", []string{"abc", `"`, `W/`, `"unknown"`, ",,,", `"cc1.00000000000000000000000000000000"`}[c.rnd.IntN(6)])
		if c.rnd.IntN(2) == 0 {
			q.header.Set("If-Modified-Since", "yesterday")
		}
	case n == 1 && have.Date != "" && own, have.Tag == "" && have.Date != "" && own:
		q.kind = "date"
		q.header.Set("If-Modified-Since", have.Date)
	case have.Tag == "":
	case n == 2:
		q.kind = "match"
		q.header.Set("If-Match", have.Tag)
	case n < 5:
		q.kind = "list"
		other, _ := q.page.Place.Any(q.user, c.rnd)
		q.header["If-None-Match"] = []string{`"none", ` + have.Tag, strings.TrimPrefix(other.Tag, "W/")}
	case n < 7:
		q.kind = "weak"
		q.header.Set("If-None-Match", "W/"+strings.TrimPrefix(have.Tag, "W/"))
	default:
		q.kind = "tag"
		q.header.Set("If-None-Match", have.Tag)
		if have.Date != "" && c.rnd.IntN(2) == 0 {
			q.header.Set("If-Modified-Since", have.Date)
		}
	}
}

// part asks for a part, or for several.
func (c *client) part(q *question) {
	q.kind = "range"
	first := c.rnd.IntN(3000)
	switch c.rnd.IntN(5) {
	case 0:
		q.header.Set("Range", fmt.Sprintf("bytes=-%d", 1+c.rnd.IntN(500)))
	case 1:
		q.kind = "ranges"
		q.header.Set("Range", fmt.Sprintf("bytes=0-9,%d-%d,-7", first+20, first+60))
	case 2:
		q.header.Set("Range", fmt.Sprintf("bytes=%d-", first*100))
	default:
		q.header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, first+c.rnd.IntN(2000)))
	}
	have, ok := q.page.Place.Any(q.user, c.rnd)
	switch {
	case !ok || have.Page != q.page:
	case have.Tag != "" && c.rnd.IntN(2) == 0:
		q.header.Set("If-Range", have.Tag)
	case have.Date != "" && c.rnd.IntN(3) == 0:
		q.header.Set("If-Range", have.Date)
	}
}

// edit writes upon what the client has read, or thinks that it has.
func (c *client) edit(q *question) {
	have, ok := q.page.Latest()
	n, gone := q.page.Now()
	q.method, q.kind = []string{http.MethodPut, http.MethodPut, http.MethodPatch, http.MethodDelete}[c.rnd.IntN(4)], "edit"
	switch {
	case gone && q.site.Strong:
		q.method, q.kind = http.MethodPut, "create"
		q.header.Set("If-None-Match", "*")
		q.write = &truth.Write{Page: q.page, Size: c.size(), Base: &truth.Base{Version: n, Gone: true}}
		return
	case q.site.Strong && c.rnd.IntN(20) == 0:
		q.kind = "unconditional"
		q.write = &truth.Write{Page: q.page, Size: c.size()}
		return
	case gone || !ok:
		q.method, q.kind = http.MethodGet, "plain"
		return
	case q.method == http.MethodDelete && (!q.site.Strong || c.rnd.IntN(4) > 0):
		q.method = http.MethodPut
	}
	if have.Date != "" && c.rnd.IntN(4) == 0 && q.site.Strong {
		q.header.Set("If-Unmodified-Since", have.Date)
	} else {
		q.header.Set("If-Match", have.Tag)
	}
	q.write = &truth.Write{Page: q.page, Size: c.size(), Base: &truth.Base{Version: have.Version}}
}

// ask sends a request, reads what comes, and has it judged.
func (c *client) ask(q *question) {
	id := fmt.Sprintf("%d", c.last.Add(1))
	q.header.Set(truth.IDField, id)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if q.leaves > 0 {
		stop := time.AfterFunc(q.leaves, cancel)
		defer stop.Stop()
	}
	if q.write != nil {
		c.run.book.writes.Store(id, q.write)
	}
	asked := &truth.Request{Page: q.page, Method: q.method, Header: q.header, Start: time.Now(), Settled: q.page.Settled(), Write: q.write}
	answer, err := c.send(ctx, q)
	asked.Faulty = c.run.book.wasFaulty(id)
	c.count(q, answer, err)
	if answer == nil {
		return
	}
	if q.write != nil && !answer.Broken {
		c.run.book.writes.Delete(id)
		q.write.Answered()
	}
	asked.Replacing = c.run.replacing.during(asked.Start, answer.End)
	if problem := truth.Judge(asked, answer); problem != "" {
		c.run.report(asked, answer, c.protocol, problem)
	}
}

// send returns an answer as soon as its head has come, whatever becomes of its content.
func (c *client) send(ctx context.Context, q *question) (*truth.Answer, error) {
	var content io.Reader = http.NoBody
	if q.write != nil && q.write.Size > 0 {
		content = strings.NewReader(strings.Repeat("x", q.write.Size))
	}
	if q.stalls {
		content = &stallingBody{ctx, q.write.Size / 2}
	}
	r, err := http.NewRequestWithContext(ctx, q.method, fmt.Sprintf("https://%s:%d%s", q.site.host(), c.run.set.port, q.page.Place.Path), content)
	if err != nil {
		return nil, err
	}
	if q.stalls {
		r.ContentLength = int64(q.write.Size)
	}
	r.Header = q.header.Clone()
	response, err := c.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := readBody(ctx, response, q.slowly)
	return &truth.Answer{Status: response.StatusCode, Header: response.Header, Body: text, End: time.Now(), Broken: err != nil}, err
}

// count notes what has happened.
func (c *client) count(q *question, answer *truth.Answer, err error) {
	n := c.run.counters
	n.add("asked: " + q.kind)
	n.add("by: " + c.protocol)
	switch {
	case err != nil && q.leaves > 0:
		n.add("left")
	case errors.Is(err, context.DeadlineExceeded):
		n.add("waited a minute in vain")
		c.run.say("%s %s of %s by %s has waited a minute in vain", q.method, q.page.Place.Path, q.site.Name, c.protocol)
	case err != nil:
		n.add("broken off")
	}
	if q.slowly {
		n.add("read slowly")
	}
	if q.stalls {
		n.add("half-open writes")
	}
	if answer == nil || answer.Broken {
		return
	}
	n.add(fmt.Sprintf("status: %d", answer.Status))
	switch by := answer.Header.Get(truth.ByField); {
	case answer.Status == http.StatusNotModified:
		n.add("304 by " + strings.TrimPrefix(by, "not_modified "))
		if answer.Remembered() {
			n.add("remembered at " + q.site.Name)
		}
	case answer.Status >= 500 && answer.Header.Get(truth.FaultField) == "":
		n.add("errors told")
	}
	if q.write != nil && q.write.Base != nil && answer.Status < 300 {
		n.add("edits acknowledged")
	}
}
