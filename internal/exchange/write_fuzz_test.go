package exchange_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzGuard: whatever a write says and the upstream answers, a write that was refused has not reached
// the upstream, a stale tag of ours alone never gets through, what was judged is not sent on, a list over
// two lines is the same list, and nothing is left behind. What goes on is what the upstream has said itself, or what came.
func FuzzGuard(f *testing.F) {
	for _, seed := range []struct{ match, none, since, etag, lastModified string }{
		{strongTag, "", "", "", ""},
		{staleTag + `, ` + weakTag, "", modified, "", modified},
		{`"abc-gzip"`, "*", dayBefore, `"abc"`, dayAfter},
		{"", `W/"abc"`, "", `W/"abc"`, "x"},
		{"*", "abc,,", "yesterday", "abc", ""},
		{`"abc", "def"`, "", "", `"abc"`, ""},
	} {
		for which := range uint8(4) {
			f.Add(seed.match, seed.none, seed.since, seed.etag, seed.lastModified, which)
		}
	}
	statuses := []int{200, 200, 404, 204, 500, 403, 302}
	handlers := [4]*Handler{
		provisioned(f, strong()), provisioned(f, requiring()), provisioned(f, nil),
		provisioned(f, &Handler{ETag: &ETag{Mode: "strong", Existing: "replace"}, GuardWrites: new(GuardWrites)}),
	}
	f.Fuzz(func(t *testing.T, match, none, since, etag, lastModified string, dice uint8) {
		fields := http.Header{}
		for name, line := range map[string]string{"If-Match": match, "If-None-Match": none, "If-Unmodified-Since": since} {
			if line != "" {
				fields[name] = []string{line}
			}
		}
		serve := func(fields http.Header) (*visit, *resource) {
			u := &resource{get: func(w http.ResponseWriter, _ *http.Request) error {
				addPairs(w.Header(), pairs("Content-Type", "text/plain", "Etag", etag, "Last-Modified", lastModified))
				w.WriteHeader(statuses[int(dice>>2)%len(statuses)])
				_, err := io.WriteString(w, page)
				return err
			}}
			v := newVisit(t, "PUT", "/")
			v.r.Header = fields.Clone()
			return v.to(handlers[dice&3], u.ServeHTTP), u
		}
		v, u := serve(fields)
		if through := u.written != nil; through != (v.status() == 204) {
			t.Errorf("status %d after %q", v.status(), u.calls)
		}
		if match == staleTag && u.written != nil && !strings.Contains(etag, "cc1.") {
			t.Errorf("a stale tag got through")
		}
		wantSentOn(t, v, u.written.Get("If-Match"), match, strings.TrimSpace(etag))
		split := fields.Clone()
		if lines := split["If-Match"]; lines != nil && !strings.ContainsAny(match, "*\"") {
			split["If-Match"] = append(lines, "")
		}
		if again, _ := serve(split); again.status() != v.status() {
			t.Errorf("%d, and %d with an empty line more", v.status(), again.status())
		}
		wantIdle(t)
	})
}

// wantSentOn checks the If-Match that went on with a write, if any, against the one that came: what was judged is not sent
// on, unless it is the upstream's own tag.
func wantSentOn(t *testing.T, v *visit, got, match, own string) {
	t.Helper()
	switch reason := v.said("reason"); {
	case got == "" || reason == "guard_weak_tag":
	case v.said("outcome") == "guarded" && got != own:
		t.Errorf("sent on: %s", got)
	case reason == "coded_tag" && got != own:
		t.Errorf("sent on in place of %s: %s, but the tag is %s", match, got, own)
	case reason == "method" && got != match:
		t.Errorf("nothing was judged, and If-Match: %s became %s", match, got)
	}
}
