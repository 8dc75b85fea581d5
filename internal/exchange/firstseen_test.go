package exchange_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// TestFirstSeen: a tag is dated by when it became the current one. The date never goes back, also when the old page does.
func TestFirstSeen(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}, Block: t.Name()})
	dated := func(next caddyhttp.HandlerFunc, fields ...string) (date time.Time, v *visit) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // until a second is over
			// A second one within a second is not sent before its time has come.
			v = newVisit(t, http.MethodGet, "/", fields...).to(h, next)
			if date, err := http.ParseTime(v.rec.Header().Get("Last-Modified")); err == nil {
				return date, v
			}
		}
		t.Fatalf("no date: %v", v.rec.Header())
		return date, v
	}
	other := sends(200, "other", "Content-Type", "text/plain")
	first, v := dated(sendsPage())
	if age := time.Since(first); age < 0 || age > time.Minute {
		t.Errorf("first seen %v ago", age)
	}
	wantPairs(t, "the response", v.rec.Header(), pairs("Cache-Control", "no-cache"))
	if again, _ := dated(sendsPage()); !again.Equal(first) {
		t.Errorf("the same page was dated %v, then %v", first, again)
	}
	second, _ := dated(other)
	third, _ := dated(sendsPage())
	if !second.After(first) || !third.After(second) {
		t.Errorf("dated %v, %v, %v", first, second, third)
	}
	for date, want := range map[time.Time]int{third: 304, first: 200, third.Add(time.Second): 200} {
		v := newVisit(t, http.MethodGet, "/", "If-Modified-Since", httpcond.FormatDate(date)).to(h, sendsPage())
		if v.status() != want {
			t.Errorf("If-Modified-Since %v: %d, want %d", date, v.status(), want)
		}
	}
}

// TestFirstSeenForEveryOrigin: a page has one date, whoever asks from where.
func TestFirstSeenForEveryOrigin(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}, Block: t.Name()})
	date := newVisit(t, http.MethodGet, "/").to(h, sendsPage()).rec.Header().Get("Last-Modified")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Unix() == seconds(t, date) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // until a second is over
	}
	v := newVisit(t, http.MethodGet, "/", "Origin", "https://a.example").to(h, sendsPage())
	wantPairs(t, "another origin's", v.rec.Header(), pairs("Last-Modified", date))
}

func seconds(t *testing.T, date string) int64 {
	t.Helper()
	at, err := http.ParseTime(date)
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix()
}

func TestFirstSeenOfOtherDatesAndTags(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}, Block: t.Name()})
	v := newVisit(t, http.MethodGet, "/", "Cookie", "a=1").to(h, sendsPage("Last-Modified", modified))
	wantPairs(t, "a response with a date", v.rec.Header(), pairs("Last-Modified", modified, "Cache-Control", ""))
	v = newVisit(t, http.MethodGet, "/u").to(h, sendsPage("Etag", `"u"`))
	if v.rec.Header().Get("Last-Modified") == "" {
		t.Error("an upstream's tag is not dated")
	}
	v = newVisit(t, http.MethodGet, "/long").to(h, endlessPage())
	wantPairs(t, "a response without a tag", v.rec.Header(), pairs("Last-Modified", ""))
}

// endlessPage is too long to be tagged.
func endlessPage() caddyhttp.HandlerFunc {
	return sends(200, strings.Repeat("x", defaultMaxBody+1), "Content-Type", "text/plain")
}

// TestFirstSeenIsRemembered: the date goes into the record, and matches itself only.
func TestFirstSeenIsRemembered(t *testing.T) {
	h := remembering(t, func(h *Handler) {
		h.LastModified = &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}
		h.NotModified = &NotModified{Keep: pairs("Last-Modified")}
	})
	v := newVisit(t, http.MethodGet, "/").to(h, sendsPage())
	date := v.rec.Header().Get("Last-Modified")
	seen, err := http.ParseTime(date)
	if err != nil {
		t.Fatal(err)
	}
	runSteps(t, h,
		step{fields: pairs("If-Modified-Since", date), status: 304, reason: "remembered", want: pairs("Last-Modified", date)},
		step{fields: pairs("If-Modified-Since", httpcond.FormatDate(seen.Add(time.Hour))), asked: true},
	)
}

// TestFirstSeenLeavesRowsAlone: the no-cache that stands beside a found date comes behind the rows, so that it takes nothing
// from them, wherever the tag comes from.
func TestFirstSeenLeavesRowsAlone(t *testing.T) {
	seen := &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}
	rows := provisioned(t, &Handler{LastModified: seen, CacheControl: []CacheControl{{Directives: pairs("max-age=1h")}}, Block: t.Name()})
	modified := provisioned(t, &Handler{LastModified: seen, Expires: "modified", ExpiresModified: caddy.Duration(time.Hour), Block: t.Name()})
	for name, fields := range map[string][]string{"our tag": nil, "the upstream's tag": pairs("Etag", `"u"`)} {
		v := newVisit(t, http.MethodGet, "/row?"+strings.ReplaceAll(name, " ", "+")).to(rows, sendsPage(fields...))
		wantPairs(t, "a row, "+name, v.rec.Header(), pairs("Cache-Control", "max-age=3600"))
		v = newVisit(t, http.MethodGet, "/modified?"+strings.ReplaceAll(name, " ", "+")).to(modified, sendsPage(fields...))
		if got := v.rec.Header().Get("Cache-Control"); !strings.HasPrefix(got, "max-age=3") {
			t.Errorf("expires modified, %s: Cache-Control: %s, want some max-age", name, got)
		}
	}
}

// TestFirstSeenBesideAnotherSource: the other source's date says nothing of when the tag was first seen, so that it cannot
// confirm a page by itself.
func TestFirstSeenBesideAnotherSource(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{byHeader, {FirstSeen: true}}}, Block: t.Name()})
	v := newVisit(t, http.MethodGet, "/", "If-Modified-Since", modified).to(h, sendsPage("X-Updated", "1700000000"))
	if v.status() != http.StatusOK || v.rec.Header().Get("Last-Modified") == modified {
		t.Errorf("%d, Last-Modified: %s; the tag is newer than that", v.status(), v.rec.Header().Get("Last-Modified"))
	}
	// Of two tags in one second, the second one's date is still to come: until then there is none.
	v = newVisit(t, http.MethodGet, "/", "If-Modified-Since", modified).to(h, sends(200, "other", "X-Updated", "1700000000"))
	if v.status() != http.StatusOK || v.rec.Header().Get("Last-Modified") == modified {
		t.Errorf("another tag: %d, Last-Modified: %s", v.status(), v.rec.Header().Get("Last-Modified"))
	}
	if date, err := http.ParseTime(v.rec.Header().Get("Last-Modified")); err == nil && date.After(time.Now()) {
		t.Errorf("another tag: Last-Modified: %v, which is to come", date)
	}
	v = newVisit(t, http.MethodGet, "/unclear").to(h, sendsPage("X-Updated", "yesterday"))
	wantPairs(t, "beside a source that does not tell", v.rec.Header(), pairs("Last-Modified", ""))
}

// TestFirstSeenGuardsWrites: a write that rests on the time when the tag was first seen is judged by it. While the time of
// another tag is still to come, it is not known, and the write does not go on either.
func TestFirstSeenGuardsWrites(t *testing.T) {
	h := provisioned(t, &Handler{
		ETag: &ETag{Mode: "strong"}, GuardWrites: new(GuardWrites), Block: t.Name(),
		LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}},
	})
	for target, tags := range map[string][2][]string{
		"/ours":     {},
		"/upstream": {pairs("Etag", `"a"`), pairs("Etag", `"b"`)},
	} {
		page, other := sendsPage(tags[0]...), sends(200, "another one", append(pairs("Content-Type", "text/plain"), tags[1]...)...)
		date := newVisit(t, http.MethodGet, target).to(h, page).rec.Header().Get("Last-Modified")
		for i, current := range []caddyhttp.HandlerFunc{page, other} {
			written := false
			v := newVisit(t, http.MethodPut, target, "If-Unmodified-Since", date).to(h, func(w http.ResponseWriter, r *http.Request) error {
				if r.Method != http.MethodPut {
					return current(w, r)
				}
				written = true
				return nil
			})
			if written != (i == 0) {
				t.Errorf("%s, page %d: written %t (%d, %v)", target, i, written, v.status(), v.err)
			}
		}
	}
}

// TestFirstSeenUnderFieldsReplacedInside: a handler further in that edits a field in place does not change which
// representation is meant.
func TestFirstSeenUnderFieldsReplacedInside(t *testing.T) {
	h := provisioned(t, &Handler{LastModified: &LastModified{From: []LastModifiedSource{{FirstSeen: true}}}, Block: t.Name()})
	for _, language := range []string{"de", "en"} {
		v := newVisit(t, http.MethodGet, "/", "Accept-Language", language)
		v.serve(h, func(w http.ResponseWriter, r *http.Request) error {
			r.Header["Accept-Language"][0] = "replaced"
			return sends(200, language, "Content-Type", "text/plain", "Vary", "Accept-Language")(w, r)
		})
		// As another version of the first, the second would be dated a second later, and not be sent a date yet.
		if v.rec.Header().Get("Last-Modified") == "" {
			t.Errorf("%s has no date, as if it were another version of the same", language)
		}
	}
}
