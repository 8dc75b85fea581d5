package integration

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestFirstSeenOfTwoVersions: while two versions of a page take turns, as in a rolling deployment, no date is sent that
// has not come or that belongs to the other; and once it is over there is one again at once.
func TestFirstSeenOfTwoVersions(t *testing.T) {
	var page atomic.Pointer[string]
	upstream := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, *page.Load()) })
	c := noteSite(t, "conditional_cache {\n last_modified normalize {\n  from first_seen\n }\n}\nreverse_proxy {upstream}", upstream)
	owners := make(map[string]string) // of each date
	latest := time.Time{}
	ask := func(version string) (dated bool) {
		page.Store(&version)
		h := c.must(t, http.StatusOK, http.MethodGet, "/", "").header
		date, err := http.ParseTime(h.Get("Last-Modified"))
		if err != nil {
			return false
		}
		sent, err := http.ParseTime(h.Get("Date"))
		if err != nil || date.After(sent) || date.Before(latest) {
			t.Fatalf("%s: Last-Modified %s, after %s, at %s", version, date, latest, sent)
		}
		if owner, known := owners[date.String()]; known && owner != h.Get("Etag") {
			t.Fatalf("%s is the date of %s and of %s", date, owner, h.Get("Etag"))
		}
		owners[date.String()], latest = h.Get("Etag"), date
		return true
	}
	for range 300 {
		ask("one")
		ask("two")
	}
	eventually(t, "a date of what is left", func() bool { return ask("two") })
	if behind := time.Since(latest); behind > time.Minute {
		t.Errorf("the date is %s old", behind)
	}
}
