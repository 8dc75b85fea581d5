package exchange_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/exchange"
)

// strong is a handler that guards writes.
func strong(methods ...string) *Handler {
	return &Handler{ETag: &ETag{Mode: "strong"}, GuardWrites: &GuardWrites{Methods: methods}}
}

// requiring guards writes, and wants a condition of each.
func requiring() *Handler {
	return &Handler{ETag: &ETag{Mode: "strong"}, GuardWrites: &GuardWrites{Require: true}}
}

func guardedRepair() *Handler {
	return &Handler{ETag: &ETag{Mode: "strong", Existing: "repair"}, GuardWrites: new(GuardWrites)}
}

func lenient(h *Handler) *Handler {
	h.LastModified = &LastModified{Lenient: true}
	return h
}

// resource is an upstream with something to read and to write.
type resource struct {
	get, put caddyhttp.HandlerFunc // sendsPage, and 204
	calls    []string              // the methods that it was asked with
	written  http.Header           // the write's fields as it saw them
	asked    *http.Request         // the GET as it saw it
}

func (u *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	u.calls = append(u.calls, r.Method)
	next := u.put
	if r.Method == http.MethodGet {
		u.asked = r
		if next = u.get; next == nil {
			next = sendsPage()
		}
	} else {
		u.written = r.Header.Clone()
		if next == nil {
			next = sends(http.StatusNoContent, "")
		}
	}
	return next(w, r)
}

// wantIdle: whatever became of the writes, nobody waits and nothing is held.
func wantIdle(t *testing.T) {
	t.Helper()
	if n := exchange.Writes.Len(); n != 0 {
		t.Errorf("the queue still has %d keys", n)
	}
	if held := exchange.Budget.Held(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// guardTrial is one write, what the upstream has, and what becomes of it.
type guardTrial struct {
	name    string
	handler *Handler // strong()
	method  string   // PUT
	fields  []string
	get     caddyhttp.HandlerFunc // sendsPage
	put     caddyhttp.HandlerFunc // 204
	status  int
	outcome string
	reason  string
	calls   string   // what the upstream is asked, "GET PUT"
	passed  []string // the conditional fields that go on with the write
	want    []string // fields of the response
	body    string
}

func (row *guardTrial) run(t *testing.T) {
	h, method := row.handler, row.method
	if h == nil {
		h = strong()
	}
	if method == "" {
		method = http.MethodPut
	}
	u := &resource{get: row.get, put: row.put}
	v := newVisit(t, method, "/", row.fields...)
	v.to(provisioned(t, h), u.ServeHTTP)
	if v.status() != row.status || v.panicked != nil {
		t.Errorf("status %d, want %d (error %v, panic %v)", v.status(), row.status, v.err, v.panicked)
	}
	if got := strings.Join(u.calls, " "); got != row.calls {
		t.Errorf("the upstream was asked %q, want %q", got, row.calls)
	}
	if outcome, reason := v.said("outcome"), v.said("reason"); outcome != row.outcome || reason != row.reason {
		t.Errorf("outcome %q with reason %q, want %q with %q", outcome, reason, row.outcome, row.reason)
	}
	if u.written != nil {
		v.seen = u.written
		v.wantSeen(row.passed...)
	}
	wantPairs(t, "the response", v.rec.Header(), row.want)
	if v.err == nil && v.rec.Body.String() != row.body {
		t.Errorf("the body is %q, want %q", v.rec.Body, row.body)
	}
	if row.status >= 400 && row.outcome != "streamed" && row.calls != "" {
		// Nothing of the GET shows in an answer that is not its own.
		wantPairs(t, "the response", v.rec.Header(), pairs("Etag", "", "Last-Modified", "", "Cache-Control", "", "Expires", ""))
	}
	wantIdle(t)
}

func runGuardTrials(t *testing.T, rows []guardTrial) {
	t.Helper()
	for i := range rows {
		t.Run(rows[i].name, rows[i].run)
	}
}

// guardTrials are the rows of a table.
type guardTrials []guardTrial

// fill changes every row.
func (rows guardTrials) fill(change func(*guardTrial)) guardTrials {
	for i := range rows {
		change(&rows[i])
	}
	return rows
}

// withDefaults fills in what rows have in common: a row without a status has that of defaults.
func withDefaults(rows guardTrials, defaults guardTrial) guardTrials {
	for i := range rows {
		row := &rows[i]
		if row.status == 0 {
			row.status, row.outcome, row.calls = defaults.status, defaults.outcome, defaults.calls
		}
		if row.reason == "" {
			row.reason = defaults.reason
		}
	}
	return rows
}

// failedBy is a row that ends with 412.
func failedBy(reason string, row guardTrial) guardTrial {
	row.status, row.outcome, row.reason, row.calls = 412, "precondition_failed", reason, "GET"
	return row
}
