package peers

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// TestPlan: the same visits for all, most of them to few pages, and as many conditional ones as were asked for.
func TestPlan(t *testing.T) {
	visits := plan(10000, 0.8, 1)
	if !slices.Equal(visits, plan(10000, 0.8, 1)) || slices.Equal(visits, plan(10000, 0.8, 2)) {
		t.Error("visits are not those of the seed")
	}
	seen, conditional, first := make(map[int]int), 0, 0
	for _, visit := range visits {
		seen[visit.page]++
		if visit.conditional {
			conditional++
		}
		if visit.page < 10 {
			first++
		}
		if visit.page < 0 || visit.page >= sitePages {
			t.Fatalf("there is no page %d", visit.page)
		}
	}
	if conditional != 8000 || len(seen) < 400 || first < 3000 || first > 6000 {
		t.Errorf("%d conditional, %d pages, %d visits to the first ten", conditional, len(seen), first)
	}
}

// TestVisitors: they learn tags on their walk, and come back with them.
func TestVisitors(t *testing.T) {
	var asked, conditional atomic.Int64
	var tag atomic.Value
	tag.Store(`"a"`)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		now := tag.Load().(string)
		w.Header().Set("Etag", now)
		if r.Header.Get("If-None-Match") == now {
			conditional.Add(1)
			w.WriteHeader(http.StatusNotModified)
		}
	}))
	defer site.Close()
	v := newVisitors(site.URL)
	if err := v.walk(t.Context()); err != nil || asked.Load() != sitePages || conditional.Load() != 0 {
		t.Fatalf("%d asked, %d with a tag, %v", asked.Load(), conditional.Load(), err)
	}
	not, err := v.come(t.Context(), 200, 1, 1)
	if err != nil || not != 200 || conditional.Load() != 200 {
		t.Errorf("%d of 200 were 304, %v", not, err)
	}
	if not, err = v.come(t.Context(), 200, 0, 1); err != nil || not != 0 {
		t.Errorf("%d were 304 without a condition, %v", not, err)
	}
	tag.Store(`"b"`)
	if _, err = v.come(t.Context(), 10, 1, 1); err == nil || !strings.Contains(err.Error(), "though the page is the same") {
		t.Errorf("a tag that changes: %v", err)
	}
}

func TestSiteLines(t *testing.T) {
	runs := make([][]siteRun, len(arrangements)*len(shares))
	for i := range runs {
		runs[i] = []siteRun{{cpu: 4, not: 0}, {cpu: 2, not: 0.5}, {cpu: 3, not: 1}}
	}
	runs[len(runs)-1] = []siteRun{{cpu: 0.3, not: 1}}
	lines := siteLines(runs)
	first, last := lines[0], lines[len(lines)-1]
	if len(lines) != len(runs) || first.cpu != 3 || first.of != 1 || first.not != 0.5 || first.share != 0.8 {
		t.Errorf("%+v", first)
	}
	if last.of < 0.0999 || last.of > 0.1001 || !last.ours || last.share != 1 {
		t.Errorf("%+v", last)
	}
}

// TestWhatASiteAnswers: an arrangement that answers another part with 304 is not the one that is measured.
func TestWhatASiteAnswers(t *testing.T) {
	plain, comparing := &siteUp{arrangement: arrangements[0]}, &siteUp{arrangement: arrangements[1]}
	for _, c := range []struct {
		site       *siteUp
		not, share float64
		right      bool
	}{{plain, 0, 0.8, true}, {plain, 0.8, 0.8, false}, {comparing, 0.81, 0.8, true}, {comparing, 0, 0.8, false}, {comparing, 1, 1, true}} {
		if err := c.site.fits(c.not, c.share); (err == nil) != c.right {
			t.Errorf("%s, %v of %v: %v", c.site.name, c.not, c.share, err)
		}
	}
}
