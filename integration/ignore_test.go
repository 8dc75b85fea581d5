package integration

import (
	"crypto/md5" //nolint:gosec // Symfony's
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// ignoringDjango is Django behind `ignore csrf nonce`, and further directives of the site.
func ignoringDjango(t *testing.T, directives string) (*client, *pageFolder) {
	t.Helper()
	pages := newPageFolder(t)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache {\n etag auto {\n ignore csrf nonce\n }\n }\n %s\n reverse_proxy %s\n}",
		port, directives, startDjango(t, pages)))
	return plainClient(t, port), pages
}

// csrfCookie is the session of a first answer.
func csrfCookie(t *testing.T, first answer) string {
	t.Helper()
	cookie, _, _ := strings.Cut(first.header.Get("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "csrftoken=") {
		t.Fatalf("got %v, want a cookie with Django's secret", first)
	}
	return cookie
}

// csrfTokens are those of a page's forms.
func csrfTokens(page string) (tokens []string) {
	for _, found := range regexp.MustCompile(`name="csrfmiddlewaretoken" value="(\w{64})"`).FindAllStringSubmatch(page, -1) {
		tokens = append(tokens, found[1])
	}
	return tokens
}

// Django masks the token of a form anew in every answer. Under ignore the page is confirmed for as long as the session
// lasts, its stored form can be sent off, and with another session, or another letter on it, it comes anew.
func TestDjangoFormIsConfirmedUnderIgnore(t *testing.T) {
	for _, tt := range []struct{ name, directives, path, acceptEncoding string }{
		{"plain", "", "/contact", "identity"},
		{"gzip of Django", "", "/contact/gzip", "gzip"},
		{"inside encode", "encode gzip", "/contact", "gzip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, pages := ignoringDjango(t, tt.directives)
			c.acceptEncoding = tt.acceptEncoding
			first := c.get(t, tt.path, nil)
			if coded := first.header.Get("Content-Encoding") == "gzip"; coded != (tt.acceptEncoding == "gzip") {
				t.Fatalf("first load: got %v", first.header)
			}
			checkFormLife(t, c, pages, tt.path, first)
		})
	}
}

// checkFormLife follows a page with a form from its first load on.
func checkFormLife(t *testing.T, c *client, pages *pageFolder, path string, first answer) {
	t.Helper()
	etag, cookie, tokens := first.header.Get("Etag"), csrfCookie(t, first), csrfTokens(first.body)
	if first.status != http.StatusOK || !strings.HasPrefix(etag, `W/"cc1.`) || len(tokens) != 2 {
		t.Fatalf("first load: got %v, want 200 with a weak tag and two tokens", first)
	}
	stored := http.Header{"If-None-Match": {etag}, "Cookie": {cookie}}
	again := c.get(t, path, http.Header{"Cookie": {cookie}})
	if again.body == first.body || again.header.Get("Etag") != etag {
		t.Errorf("second load: got %v, want another token under the tag %s", again, etag)
	}
	for range 10 {
		checkNotModified(t, c.get(t, path, stored), etag)
	}
	c.post(t, http.StatusOK, path, tokens[0], cookie)
	c.post(t, http.StatusOK, path, tokens[1], cookie)

	// Without the cookie there is a new session, for which the stored token is none.
	other := c.get(t, path, http.Header{"If-None-Match": {etag}})
	if other.status != http.StatusOK || other.header.Get("Etag") == etag {
		t.Fatalf("a new session: got %v, want 200 with another tag", other)
	}
	c.post(t, http.StatusForbidden, path, tokens[0], csrfCookie(t, other))
	c.post(t, http.StatusOK, path, csrfTokens(other.body)[0], csrfCookie(t, other))

	pages.change(t)
	changed := c.get(t, path, stored)
	if changed.status != http.StatusOK || !strings.HasPrefix(changed.body, pages.content()) {
		t.Errorf("after a change: got %v, want 200 with the new page", changed)
	}
}

// post sends a form off.
func (c *client) post(t *testing.T, status int, path, token, cookie string) {
	t.Helper()
	form := url.Values{"csrfmiddlewaretoken": {token}, "q": {"text"}}.Encode()
	got := c.must(t, status, http.MethodPost, path, form, "Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie)
	if status == http.StatusOK && got.body != "accepted text" {
		t.Errorf("POST: got %v", got)
	}
}

// A page whose scripts run under its own nonce is confirmed without the policy of the answer that was not sent.
func TestNoncePageKeepsItsPolicy(t *testing.T) {
	c, pages := ignoringDjango(t, "")
	first := c.get(t, "/scripted", nil)
	policy, etag := first.header.Get("Content-Security-Policy"), first.header.Get("Etag")
	_, nonce, _ := strings.Cut(strings.TrimSuffix(policy, "'"), "'nonce-")
	if first.status != http.StatusOK || nonce == "" || !strings.Contains(first.body, "<script nonce='"+nonce+"'>") {
		t.Fatalf("got %v, want a page with the nonce of its policy", first)
	}
	for range 10 {
		got := c.get(t, "/scripted", http.Header{"If-None-Match": {etag}})
		checkNotModified(t, got, etag)
		if lines := got.header["Content-Security-Policy"]; lines != nil {
			t.Fatalf("the 304 has the policy %q, and the stored page the nonce %s", lines, nonce)
		}
	}
	pages.change(t)
	if got := c.get(t, "/scripted", http.Header{"If-None-Match": {etag}}); got.status != http.StatusOK || got.header.Get("Content-Security-Policy") == "" {
		t.Errorf("after a change: got %v, want 200 with its policy", got)
	}
}

// A token in the form of ASP.NET's is left out only for visitors whom nothing signs in: for others it may be dead by now.
func TestAntiforgeryTokenOfAUserCounts(t *testing.T) {
	port := freePort(t)
	runCaddy(t, fmt.Sprintf("http://localhost:%d {\n conditional_cache {\n etag auto {\n ignore csrf\n }\n }\n header Content-Type text/html\n"+
		" respond `<input type=hidden name=__RequestVerificationToken value={http.request.uuid}-{http.request.uuid}>`\n}", port))
	c := plainClient(t, port)
	const antiforgery = ".AspNetCore.Antiforgery.a=b"
	for _, tt := range []struct {
		name   string
		header http.Header
		same   bool
	}{
		{"nobody", http.Header{"Cookie": {antiforgery}}, true},
		{"a user by cookie", http.Header{"Cookie": {antiforgery + "; SignIn=alice"}}, false},
		{"a user by credentials", http.Header{"Cookie": {antiforgery}, "Authorization": {"Basic YTpi"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := c.get(t, "/", tt.header)
			etag := first.header.Get("Etag")
			if first.status != http.StatusOK || !strings.HasPrefix(etag, `W/"cc1.`) {
				t.Fatalf("first load: got %v, want 200 with a weak tag", first)
			}
			header := tt.header.Clone()
			header.Set("If-None-Match", etag)
			if again := c.get(t, "/", header); (again.status == http.StatusNotModified) != tt.same {
				t.Errorf("loaded again: got %v, want 304: %t", again, tt.same)
			}
		})
	}
}

// What htmx sends with its requests stands in an attribute of the page, masked anew in each answer: the page is confirmed
// while the session lasts, and its stored token is as good as a new one.
func TestHTMXPageIsConfirmedUnderIgnore(t *testing.T) {
	c, pages := ignoringDjango(t, "header >X-Reason {http.conditional_cache.reason}")
	for _, place := range []string{"attribute", "escaped", "data"} {
		t.Run(place, func(t *testing.T) {
			path := "/htmx?place=" + place
			first := c.get(t, path, nil)
			etag, cookie, token := first.header.Get("Etag"), csrfCookie(t, first), scriptToken(t, first.body)
			if first.status != http.StatusOK || !strings.HasPrefix(etag, `W/"cc1.`) {
				t.Fatalf("first load: got %v", first)
			}
			stored := http.Header{"If-None-Match": {etag}, "Cookie": {cookie}}
			for range 10 {
				checkNotModified(t, c.get(t, path, stored), etag)
			}
			if again := c.get(t, path, http.Header{"Cookie": {cookie}}); again.body == first.body || again.header.Get("X-Reason") != "no_condition" {
				t.Errorf("second load: got %v, want another token", again)
			}
			c.postBy(t, http.StatusOK, path, token, cookie)

			// Without the cookie there is a new session, for which the stored token is none.
			other := c.get(t, path, http.Header{"If-None-Match": {etag}})
			if other.status != http.StatusOK || other.header.Get("Etag") == etag {
				t.Fatalf("a new session: got %v, want 200 with another tag", other)
			}
			c.postBy(t, http.StatusForbidden, path, token, csrfCookie(t, other))
			pages.change(t)
			if changed := c.get(t, path, stored); changed.status != http.StatusOK || !strings.HasPrefix(changed.body, pages.content()) {
				t.Errorf("after a change: got %v", changed)
			}
		})
	}
}

// In a script the token counts, and the reason says so.
func TestTokenInAScriptCounts(t *testing.T) {
	c, _ := ignoringDjango(t, "header >X-Reason {http.conditional_cache.reason}")
	first := c.get(t, "/htmx?place=script", nil)
	stored := http.Header{"If-None-Match": {first.header.Get("Etag")}, "Cookie": {csrfCookie(t, first)}}
	if again := c.get(t, "/htmx?place=script", stored); again.status != http.StatusOK || again.header.Get("X-Reason") != "token_counts" {
		t.Errorf("got %v, want 200 for the token in the script", again)
	}
}

// scriptToken is the token that the scripts of a page send.
func scriptToken(t *testing.T, page string) string {
	t.Helper()
	found := regexp.MustCompile(`(?i)csrf-?token[^\w]+(?:quot;)?[^\w]*(?:quot;)?(\w{64})\W`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("there is no token in %q", page)
	}
	return found[1]
}

// postBy sends what a script would.
func (c *client) postBy(t *testing.T, status int, path, token, cookie string) {
	t.Helper()
	c.must(t, status, http.MethodPost, path, "q=text", "Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie, "X-CSRFToken", token)
}

// symfonyToken makes the tokens of a session as Symfony's forms have them: the session's own one, masked by a random key.
func symfonyToken(session string) string {
	coding := base64.RawURLEncoding
	secret := coding.EncodeToString([]byte(session))
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	masked := []byte(secret)
	for i := range masked {
		masked[i] ^= key[i%len(key)]
	}
	hash := md5.Sum(key) //nolint:gosec // only there to make the length vary
	return hex.EncodeToString(hash[:])[:1+int(key[0])%32] + "." + coding.EncodeToString(key) + "." + coding.EncodeToString(masked)
}

// A form of Symfony's is confirmed while the session lasts.
func TestSymfonyFormIsConfirmedUnderIgnore(t *testing.T) {
	c := noteSite(t, "conditional_cache {\n etag auto {\n ignore csrf\n }\n}\nreverse_proxy {upstream}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		_, _ = fmt.Fprintf(w, `<form name="contact"><input type="hidden" id="contact__token" name="contact[_token]" value="%s" /></form>%s`,
			symfonyToken(r.Header.Get("Cookie")), r.URL.RawQuery)
	}))
	ada, bob := "session="+strings.Repeat("a", 24), "session="+strings.Repeat("b", 24)
	first := c.get(t, "/", http.Header{"Cookie": {ada}})
	etag := first.header.Get("Etag")
	for range 40 { // keys of all lengths of the hash
		checkNotModified(t, c.get(t, "/", http.Header{"Cookie": {ada}, "If-None-Match": {etag}}), etag)
	}
	if got := c.get(t, "/", http.Header{"Cookie": {bob}, "If-None-Match": {etag}}); got.status != http.StatusOK || got.header.Get("Etag") == etag {
		t.Errorf("another session: %v", got)
	}
	if got := c.get(t, "/?more", http.Header{"Cookie": {ada}, "If-None-Match": {etag}}); got.status != http.StatusOK {
		t.Errorf("a change: %v", got)
	}
}
