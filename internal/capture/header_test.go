package capture

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

func wantHeader(t *testing.T, got, want http.Header) {
	t.Helper()
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the fields are\n%v, want\n%v", got, want)
	}
}

// At the head the outer map becomes what the inner handlers made of the fields that they were given.
func TestFieldsAtTheHead(t *testing.T) {
	for _, d := range decisions {
		t.Run(d.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			rec.Header().Set("X-Kept", "outer")
			rec.Header().Set("X-Deleted", "outer")
			rec.Header().Set("X-Replaced", "outer")
			rec.Header().Add("Vary", "Origin")
			before := rec.Header().Clone()
			x := &exchange{atHead: d.Decision, change: func(h http.Header) { h.Add("Vary", "Accept-Encoding") }}
			w, _ := start(t, rec, x)
			w.Header().Del("X-Deleted")
			w.Header().Set("X-Replaced", "inner")
			w.Header().Set("X-New", "inner")
			w.Header().Add("Vary", "Cookie")
			wantHeader(t, rec.Header(), before)
			w.WriteHeader(http.StatusOK)
			want := http.Header{
				"X-Kept": {"outer"}, "X-Replaced": {"inner"}, "X-New": {"inner"},
				"Vary": {"Origin", "Cookie", "Accept-Encoding"},
			}
			wantHeader(t, w.OuterHeader(), want)
			// What comes after the head is the inner handlers' own affair.
			w.Header().Set("X-Late", "inner")
			w.Header().Add("Vary", "late")
			w.Header().Del("X-Kept")
			if d.Action != Stream && d.Action != Slice { // whose heads are out
				w.Header()["X-New"][0] = "late"
			}
			wantHeader(t, w.OuterHeader(), want)
			if got := w.Header()["Vary"]; !slices.Equal(got, []string{"Origin", "Cookie", "late"}) {
				t.Errorf("the inner handlers see the outer Vary lines: %q", got)
			}
		})
	}
}

// Lists with spare room are where an append on one side would show on the other.
func TestListsAreNotShared(t *testing.T) {
	rec := httptest.NewRecorder()
	whole := make([]string, 8)
	roomy := whole[:1]
	roomy[0] = "outer"
	rec.Header()["X-List"] = roomy
	w, _ := start(t, rec, &exchange{atHead: holding(1 << 20), change: func(h http.Header) {
		h["X-Inner"] = append(h["X-Inner"], "exchange")
	}})
	w.Header().Add("X-List", "inner")
	if spare := whole[1]; spare != "" {
		t.Errorf("an append by an inner handler wrote %q into the outer list's room", spare)
	}
	w.Header()["X-List"][0] = "edited" // in place, as Caddy's header directive replaces
	if roomy[0] != "outer" {
		t.Errorf("an edit by an inner handler made the outer line %q", roomy[0])
	}
	inner := make([]string, 1, 8)
	inner[0] = "inner"
	w.Header()["X-Inner"] = inner
	w.WriteHeader(http.StatusOK)
	w.Header()["X-Inner"] = append(inner, "late")
	wantHeader(t, rec.Header(), http.Header{"X-List": {"edited", "inner"}, "X-Inner": {"inner", "exchange"}})
}

// net/http takes a nil list for "do not add this field", which an empty map entry would lose.
func TestNilListsStayNil(t *testing.T) {
	rec := httptest.NewRecorder()
	rec.Header()["Date"] = nil
	w, _ := start(t, rec, &exchange{atHead: holding(1 << 20)})
	w.Header()["Content-Type"] = nil
	w.Header()["X-Empty"] = []string{}
	w.WriteHeader(http.StatusOK)
	for _, name := range []string{"Date", "Content-Type"} {
		if lines, ok := rec.Header()[name]; !ok || lines != nil {
			t.Errorf("%s is %#v, %t", name, lines, ok)
		}
	}
	if lines := rec.Header()["X-Empty"]; lines == nil {
		t.Error("an empty list became nil")
	}
}

// An error's answer inherits nothing of the response it replaces. More than six fields need memory
// that fewer do not.
func TestRestore(t *testing.T) {
	for _, n := range []int{0, 1, 6, 7, 20} {
		t.Run(fmt.Sprintf("fields=%d", n), func(t *testing.T) {
			rec := httptest.NewRecorder()
			for i := range n {
				rec.Header().Add(fmt.Sprintf("X-Outer-%d", i), "a")
				rec.Header().Add(fmt.Sprintf("X-Outer-%d", i), "b")
			}
			before := rec.Header().Clone()
			w, _ := start(t, rec, &exchange{atHead: answering(0), change: func(h http.Header) {
				h.Set("X-Exchange", "1")
			}})
			wantHeader(t, w.Header(), before)
			for name := range w.Header() {
				w.Header()[name][0] = "edited"
			}
			w.Header().Del("X-Outer-0")
			w.Header().Add("X-Outer-6", "inner")
			w.Header().Set("X-Inner", "1")
			w.WriteHeader(http.StatusOK)
			w.Settle()
			w.Restore()
			wantHeader(t, rec.Header(), before)
			w.SendHead(http.StatusPreconditionFailed)
			wantHeader(t, rec.Result().Header, before)
		})
	}
}

// Without a head, an error's fields (WWW-Authenticate, Allow) come out only when they are adopted.
func TestAdopt(t *testing.T) {
	rec := httptest.NewRecorder()
	rec.Header().Set("X-Outer", "outer")
	rec.Header().Set("X-Deleted", "outer")
	w, _ := start(t, rec, &exchange{})
	w.Header().Set("WWW-Authenticate", "Basic")
	w.Header().Del("X-Deleted")
	w.Settle()
	wantHeader(t, rec.Header(), http.Header{"X-Outer": {"outer"}, "X-Deleted": {"outer"}})
	w.Adopt()
	wantHeader(t, rec.Header(), http.Header{"X-Outer": {"outer"}, "Www-Authenticate": {"Basic"}})
}
