package adminapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// counting is an API for which requests have been counted.
func counting() *API {
	a := apiOf(&noting{name: "memory", stats: validators.Stats{Entries: 1, Available: true}})
	count := func(n int, outcome journal.Outcome, reason, memory, unkept journal.Reason) {
		for range n {
			note := journal.Note{Outcome: outcome, Reason: reason, Memory: memory, NotRemembered: unkept}
			a.counted.Tally.Count(&note, metrics.Facts{Asks: true, Asked: reason != journal.NoCondition})
			a.counted.Tally.Handled(&note, 0)
		}
	}
	count(2, journal.Tagged, journal.NoneMatched, journal.Changed, journal.NoReason)
	count(5, journal.Tagged, journal.NoCondition, journal.Conditions, journal.SetCookie)
	count(3, journal.Streamed, journal.MaxBody, journal.NoReason, journal.Private)
	count(9, journal.Streamed, journal.Method, journal.NoReason, journal.NoReason)
	count(4, journal.NotModified, journal.IfNoneMatch, journal.NoReason, journal.NoReason)
	count(1, journal.NotModified, journal.Remembered, journal.NoReason, journal.NoReason)
	for line, reasons := range [][]journal.Reason{{journal.NoMatch, journal.NoMatch, journal.NoMatch}, {journal.RowKept}, {journal.RowAdded, journal.RowAdded, journal.RowAdded, journal.RowAdded}} {
		for _, reason := range reasons {
			a.counted.Tally.Handled(&journal.Note{CacheControl: reason, Row: uint8(line)}, 0)
		}
	}
	for i := range 3 {
		for _, path := range []string{"/a", "/b"} {
			a.counted.URLs.Note("h.example", path, top.Answer{Tag: uint64(i), Unmatched: i > 0})
		}
	}
	return a
}

func topOf(t *testing.T, a *API, query string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(t, a, httptest.NewRequest(http.MethodGet, "/conditional_cache/top"+query, http.NoBody))
}

// TestTop: every member, in its order.
func TestTop(t *testing.T) {
	a := counting()
	said := func(reason journal.Reason, n int) string {
		return fmt.Sprintf(`"reason":%q,"count":%d,"sentence":%q}`, reason, n, reason.Sentence())
	}
	want := `{"since":"` + a.counted.Tally.Begun().UTC().Format("2006-01-02T15:04:05Z") + `","conditional":19,"not_modified":5,"from_memory":1,"reasons":[` +
		`{"outcome":"tagged",` + said(journal.NoCondition, 5) + `,{"outcome":"streamed",` + said(journal.MaxBody, 3) + `,{"outcome":"tagged",` + said(journal.NoneMatched, 2) +
		`],"memory":[{` + said(journal.Conditions, 5) + `,{` + said(journal.Changed, 2) +
		`],"not_remembered":[{` + said(journal.SetCookie, 5) + `,{` + said(journal.Private, 3) +
		`],"cache_control":[{"line":2,` + said(journal.RowAdded, 4) + `,{` + said(journal.NoMatch, 3) + `,{"line":1,` + said(journal.RowKept, 1) +
		`],"urls":[{"url":"h.example/a","tagged":3,"changed":2,"unmatched":2,"not_modified":0},{"url":"h.example/b","tagged":3,"changed":2,"unmatched":2,"not_modified":0}` +
		`],"stores":[{"name":"memory","entries":1,"first_seen":0,"hits":0,"misses":0,"evictions":0,"errors":0,"available":true}]}`
	w := topOf(t, a, "")
	if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("got %d %s\nwant %s", w.Code, got, want)
	}
	if got := topOf(t, apiOf(), "").Body.String(); strings.Contains(got, "null") {
		t.Errorf("nothing counted: %s", got)
	}
}

func TestTopLimit(t *testing.T) {
	var got overview
	if err := json.Unmarshal(topOf(t, counting(), "?limit=1").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Reasons) != 1 || len(got.Memory) != 1 || len(got.NotRemembered) != 1 || len(got.CacheControl) != 1 || len(got.URLs) != 1 || got.Reasons[0].Count != 5 {
		t.Errorf("%+v", got)
	}
	for query, want := range map[string]string{
		"?limit=1": "", "?limit=100": "", "?": "",
		"?limit=0": "whole number, 1 to 100", "?limit=101": "1 to 100", "?limit=-1": "1 to 100", "?limit=": "1 to 100", "?limit=ten": "1 to 100",
		"?limit=1.5": "1 to 100", "?limit=%2B1": "1 to 100", "?limit=01": "1 to 100", "?limit=1&limit=2": "one whole number",
		"?limits=1": `"limits" is not known; there is limit`, "?limit=1&all": `"all" is not known`, "?limit=%zz": "the query: ",
	} {
		w := topOf(t, apiOf(), query)
		if code := w.Code; (want == "") != (code == http.StatusOK) || want != "" && code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d %s", query, code, w.Body)
		}
	}
}

// TestTopOutlivesPurge: a purge is of what is remembered, not of what was counted.
func TestTopOutlivesPurge(t *testing.T) {
	a := counting()
	before := topOf(t, a, "").Body.String()
	if w := purge(t, a, `{"all": true}`); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	if after := topOf(t, a, "").Body.String(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}
