package exchange_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// greedy reads on to the end behind each of its matches.
	greedy = `x(?:[^y]*y)?`
	// broad has a thousand places at which a match may be by then.
	broad = `\w{1,1000}!`
)

// tooMuch is a page that greedy cannot be done with: it is over its share of the work in a few ms.
var tooMuch = strings.Repeat("x", 1<<14)

// tooLong is one that takes broad some seconds.
var tooLong = strings.Repeat("x", 1<<18) + " !"

// unhurried is a handler with `ignore` that has the time to find out what is too much.
func unhurried(words ...string) *Handler {
	h := ignoring(words...)
	h.Buffer = &Buffer{MaxDelay: Delay(time.Minute)}
	return h
}

// What is too much work has no tag, on any node, and goes out at once: as a page that is streamed, but for its length.
func TestTooMuchWorkIsUntagged(t *testing.T) {
	dated := sendsHTML(tooMuch, "Last-Modified", modified)
	length := fmt.Sprint(len(tooMuch))
	for _, row := range []trial{
		{name: "no condition", outcome: "streamed", want: pairs("Etag", "", "Content-Length", length)},
		{name: "a tag of ours", fields: pairs("If-None-Match", staleTag), outcome: "streamed", want: pairs("Etag", "", "Content-Length", length)},
		{name: "gzip", next: sendsHTML(gzipped(tooMuch), "Content-Encoding", "gzip"), body: gzipped(tooMuch), outcome: "streamed", want: pairs("Etag", "")},
		{name: "the upstream's date is still good", next: dated, fields: pairs("If-Modified-Since", modified), status: 304, reason: "if_modified_since", want: pairs("Etag", "")},
		{name: "and an earlier one is not", next: dated, fields: pairs("If-Modified-Since", dayBefore), reason: "ignore_work", want: pairs("Etag", "", "Last-Modified", modified)},
		{name: "no tag is no tag that If-Match names (RFC 9110 §13.1.1)", fields: pairs("If-Match", staleTag), status: 412, reason: "if_match"},
		{name: "but there is a page", fields: pairs("If-Match", "*"), want: pairs("Etag", "")},
		{name: "head get", method: "HEAD", want: pairs("Etag", "", "Content-Length", length)},
		{name: "a part would be of nobody knows what", fields: pairs("Range", "bytes=0-1"), want: pairs("Etag", "", "Content-Range", "")},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.handler = unhurried("csrf", greedy)
			row.handler.Head = "get"
			if row.next == nil {
				row.next = sendsHTML(tooMuch)
			}
			if row.body == "" && row.status == 0 && row.method == "" {
				row.body = tooMuch
			}
			if row.status == 0 && row.reason == "" {
				row.reason = "ignore_work"
			}
			row.run(t)
		})
	}
}

// Without a tag beside it, a date that was found does not tell for whom a page is made: it goes with the tag.
func TestTooMuchWorkHasNoFoundDate(t *testing.T) {
	h := unhurried(greedy)
	h.LastModified = &LastModified{From: pairsOf(byHeader)}
	runTrials(t, []trial{
		{name: "a tag", handler: h, next: sendsPage("X-Updated", modified), want: pairs("Etag", weakTag, "Last-Modified", modified)},
		{name: "none", handler: h, next: sendsHTML(tooMuch, "X-Updated", modified), body: tooMuch, reason: "ignore_work", want: pairs("Etag", "", "Last-Modified", "")},
	})
}

// All expressions of a body together take no more than one may; with none of them there is a tag.
func TestExpressionsShareTheirWork(t *testing.T) {
	words := []string{greedy}
	for i := range 29 {
		words = append(words, fmt.Sprintf(`x(?:[^y]*y%d)?`, i))
	}
	page := strings.Repeat("x", 1<<20)
	var took [2]time.Duration
	for i, words := range [][]string{words[:1], words} {
		h := provisioned(t, ignoring(words...))
		began := time.Now()
		v := newVisit(t, "GET", "/", "If-Match", staleTag).to(h, sendsHTML(page)) // without a time limit
		if took[i] = time.Since(began); v.status() != 412 {
			t.Errorf("%d expressions: status %d", len(words), v.status())
		}
	}
	if took[1] > 3*took[0]+100*time.Millisecond {
		t.Errorf("30 expressions take %v, and one %v", took[1], took[0])
	}
}

// Where the time is over the page goes out as it is, and no instance further out waits again.
func TestWorkEndsWithMaxDelay(t *testing.T) {
	h := ignoring(broad)
	h.Buffer = &Buffer{MaxDelay: Delay(20 * time.Millisecond)}
	inner := provisioned(t, h)
	for name, serve := range map[string]func(v *visit){
		"alone":               func(v *visit) { v.to(inner, sendsHTML(tooLong)) },
		"within another":      func(v *visit) { v.to(provisioned(t, new(Handler)), within(inner, sendsHTML(tooLong))) },
		"within another such": func(v *visit) { v.to(provisioned(t, ignoring(greedy)), within(inner, sendsHTML(tooLong))) },
	} {
		t.Run(name, func(t *testing.T) {
			v, began := newVisit(t, "GET", "/"), time.Now()
			serve(v)
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			if v.said("outcome") != "streamed" || v.said("reason") != "max_delay" || v.rec.Header()["Etag"] != nil || v.rec.Body.String() != tooLong {
				t.Errorf("%s %s, with %v and %d octets", v.said("outcome"), v.said("reason"), v.rec.Header(), v.rec.Body.Len())
			}
			wantPairs(t, "the response", v.rec.Header(), pairs("Content-Length", fmt.Sprint(len(tooLong))))
		})
	}
}

// An instance further out does not do it again.
func TestTooMuchWorkIsUntaggedFurtherOut(t *testing.T) {
	v := newVisit(t, "GET", "/").to(provisioned(t, new(Handler)), within(provisioned(t, unhurried(greedy)), sendsHTML(tooMuch)))
	if v.said("outcome") != "streamed" || v.said("reason") != "ignore_work" || v.rec.Header()["Etag"] != nil {
		t.Errorf("%s %s, with %v", v.said("outcome"), v.said("reason"), v.rec.Header())
	}
}

// Nobody knows whether such a page has changed, nor whether there are tokens in it: it is not remembered, whatever its
// date, and what was remembered before is forgotten.
func TestTooMuchWorkIsNotRemembered(t *testing.T) {
	h := remembering(t, func(h *Handler) {
		h.ETag, h.Buffer = &ETag{Ignore: pairs("csrf"), IgnoreExpressions: pairs(greedy)}, unhurried().Buffer
	})
	hostile := sendsHTML(tooMuch, "Last-Modified", modified)
	runSteps(t, h,
		step{next: hostile, asked: true, reason: "ignore_work"},
		step{next: hostile, asked: true, status: 304, fields: pairs("If-Modified-Since", modified), reason: "if_modified_since"},
		step{next: hostile, asked: true, fields: pairs("If-None-Match", staleTag)},
		step{asked: true, want: pairs("Etag", weakTag)},
		step{status: 304, fields: pairs("If-None-Match", weakTag), reason: "remembered"},
		step{next: hostile, asked: true, reason: "ignore_work"},
		step{next: hostile, asked: true, fields: pairs("If-None-Match", weakTag)},
	)
}

// The GET before a guarded write is under no time limit, but under the same bound of work: it finds that the page has no
// tag, as a client's GET does.
func TestTooMuchWorkBeforeAWrite(t *testing.T) {
	h := provisioned(t, unhurried(greedy))
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return sendsHTML(tooMuch)(w, r)
	})
	for _, row := range []trial{
		{name: "a tag of ours", fields: pairs("If-Match", staleTag), status: 412, reason: "if_match"},
		{name: "of ours, or any other", fields: pairs("If-Match", staleTag+`, "a"`), status: 412, reason: "if_match"},
	} {
		row.method, row.next = "PUT", next
		t.Run(row.name, func(t *testing.T) { row.against(t, h) })
	}
}
