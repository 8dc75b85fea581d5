package guard

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

const (
	oursNow = "cc1.0123456789abcdef0123456789abcdef"
	oursOld = "cc1.ffffffffffffffffffffffffffffffff"
)

// replaced is a representation that clients know by a tag of ours, and the upstream by one of its own.
func replaced() Current {
	return Current{
		Representation: httpcond.Representation{Exists: true, HasETag: true, ETag: httpcond.EntityTag{Opaque: oursNow}, Same: tag.Same},
		Own:            httpcond.EntityTag{Opaque: "up"}, Made: true,
	}
}

// Representations that differ from it.
var (
	weakOwn  = replacedBut(func(c *Current) { c.Own.Weak = true })
	removed  = replacedBut(func(c *Current) { c.HasETag, c.ETag, c.Made = false, httpcond.EntityTag{}, false })
	ignoring = replacedBut(func(c *Current) { c.ETag.Weak = true })
	behind   = replacedBut(func(c *Current) { c.Made, c.Own = false, httpcond.EntityTag{Weak: true, Opaque: oursNow} })
	kept     = Current{Representation: httpcond.Representation{Exists: true, HasETag: true, ETag: httpcond.EntityTag{Opaque: "up"}, Same: tag.Same}, Own: httpcond.EntityTag{Opaque: "up"}}
	coded    = replacedBut(func(c *Current) {
		c.Own, c.Uncoded = httpcond.EntityTag{Opaque: "up-gzip"}, httpcond.EntityTag{Opaque: "up"}
	})
)

func replacedBut(change func(*Current)) Current {
	c := replaced()
	change(&c)
	return c
}

var nameTrials = []struct {
	current     Current
	match, none string
	status      int    // 0: it goes on
	passed      string // If-Match of the write that goes on
}{
	{replaced(), `"up"`, "", 0, `"up"`},
	{replaced(), `"` + oursNow + `"`, "", 0, ""},
	{replaced(), `W/"` + oursNow + `"`, "", 0, ""},
	{replaced(), `"up", "` + oursNow + `"`, "", 0, ""},
	{replaced(), `"up", W/"` + oursNow + `"`, "", 0, `"up"`},
	{replaced(), `"` + oursOld + `", "up"`, "", 0, `"up"`},
	{replaced(), `rubbish, "up"`, "", 0, `"up"`},
	{replaced(), `*`, "", 0, ""},
	{replaced(), `W/"up"`, "", 412, ""},
	{replaced(), `"up-gzip"`, "", 412, ""},
	{replaced(), `"` + oursOld + `", "other"`, "", 412, ""},
	{replaced(), `W/"` + oursOld + `"`, "", 412, ""},
	{replaced(), `"up"`, `"other"`, 0, `"up"`},
	{replaced(), `"up"`, `"` + oursNow + `"`, 412, ""},
	{replaced(), `"` + oursNow + `"`, `"up"`, 412, ""},
	{replaced(), "", `W/"up"`, 412, ""},
	{replaced(), "", `"` + oursOld + `"`, 0, ""},
	{kept, `"up"`, "", 0, `"up"`},
	{kept, `"other", "up"`, "", 0, `"up"`},
	{kept, `"up-gzip"`, "", 412, ""},
	{kept, `*`, "", 0, ""},
	{kept, `W/"up"`, "", 412, ""},
	{weakOwn, `"up"`, "", 412, ""},
	{weakOwn, `W/"up"`, "", 412, ""},
	{weakOwn, "", `"up"`, 412, ""},
	{weakOwn, `"` + oursNow + `"`, "", 0, ""},
	{coded, `"up"`, "", 0, `"up"`},
	{coded, `"other", "up-gzip"`, "", 0, `"up-gzip"`},
	{coded, `W/"up"`, "", 412, ""},
	{coded, `""`, "", 412, ""},
	{coded, "", `"up"`, 412, ""},
	{coded, "", `""`, 0, ""},
	{removed, `"up"`, "", 0, `"up"`},
	{removed, `"` + oursNow + `"`, "", 412, ""},
	{removed, "", `"up"`, 412, ""},
	{ignoring, `W/"` + oursNow + `"`, "", 412, ""},
	{ignoring, `"` + oursNow + `"`, "", 412, ""},
	{ignoring, `"up"`, "", 0, `"up"`},
	{behind, `W/"` + oursNow + `"`, "", 0, `W/"` + oursNow + `"`},
	{Current{}, `"up"`, "", 412, ""},
	{Current{}, `W/"` + oursNow + `"`, "", 412, ""},
	{Current{}, "", `"up"`, 0, ""},
	{Current{}, `""`, "", 412, ""},
}

// Each name of the current representation counts, and what goes up is what the upstream can know.
func TestNames(t *testing.T) {
	for _, tt := range nameTrials {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", nil)
		for name, line := range map[string]string{"If-Match": tt.match, "If-None-Match": tt.none} {
			if line != "" {
				r.Header.Set(name, line)
			}
		}
		g := Write{To: httptest.NewRecorder(), R: r, Said: new(journal.Record), current: tt.current}
		g.Pre.IfMatch = httpcond.ParseTagCondition(r.Header["If-Match"])
		g.Pre.IfNoneMatch = httpcond.ParseTagCondition(r.Header["If-None-Match"])
		err := g.judge()
		if refused := err != nil; refused != (tt.status != 0) || !refused && r.Header.Get("If-Match") != tt.passed {
			t.Errorf("If-Match %s, If-None-Match %s: %v, and If-Match %s goes on", tt.match, tt.none, err, r.Header.Get("If-Match"))
		}
	}
}
