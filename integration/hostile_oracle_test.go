package integration

import (
	"encoding/hex"
	"fmt"
	"html"
	"math/bits"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestMemoryTellsNothingOfOthers: what is remembered of one user answers no other, whatever tag he names, not even faster: he
// reaches the upstream once, as if nobody had been there.
func TestMemoryTellsNothingOfOthers(t *testing.T) {
	for name, tt := range map[string]struct{ field, key, vary, cacheControl string }{
		"cookies":     {field: "Cookie", vary: "Cookie", cacheControl: "max-age=60"},
		"credentials": {field: "Authorization", vary: "Authorization", cacheControl: "public, max-age=60"},
		"a key":       {field: "X-Api-Key", key: "key {header.X-Api-Key}\n", cacheControl: "max-age=60"},
	} {
		t.Run(name, func(t *testing.T) {
			page := newCounted("the page of another", "Cache-Control", tt.cacheControl)
			if tt.vary != "" {
				page.header.Load().Set("Vary", tt.vary)
			}
			upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text := "the page of another"
				if r.Header.Get(tt.field) == "id=owner" {
					text = "the page of the owner"
				}
				page.page.Store(&text)
				page.ServeHTTP(w, r)
			})
			c := noteSite(t, "conditional_cache {\nremember 1h {\n"+tt.key+"}\n}\nreverse_proxy {upstream}", upstream)
			etag := c.must(t, http.StatusOK, "GET", "/visited", "", tt.field, "id=owner").header.Get("Etag")
			page.asks(t, 0, func() {
				c.must(t, http.StatusNotModified, "GET", "/visited", "", tt.field, "id=owner", "If-None-Match", etag)
			})
			checkOthersAreToldNothing(t, c, page, tt.field, etag)
		})
	}
}

// checkOthersAreToldNothing has others, each new to the site, name the tag of its owner for a page that he has been to, and for
// one that nobody has.
func checkOthersAreToldNothing(t *testing.T, c *client, page *counted, field, etag string) {
	t.Helper()
	for _, condition := range []string{"If-None-Match", "If-Match", "If-Range"} {
		var answers []string
		for i, asked := range [][2]string{{"/visited", etag}, {"/visited", `"cc1.ffffffffffffffffffffffffffffffff"`}, {"/not-visited", etag}} {
			page.asks(t, 1, func() {
				got, err := c.write(t.Context(), "GET", asked[0], "", field, fmt.Sprintf("id=%s-%d", condition, i), condition, asked[1], "Range", "bytes=0-1")
				if err != nil {
					t.Fatal(err)
				}
				got.header.Del("Date")
				answers = append(answers, got.String())
			})
		}
		for i, answer := range answers {
			if answer != answers[0] {
				t.Errorf("%s: the first answer is %s, and number %d is %s", condition, answers[0], i+1, answer)
			}
		}
	}
}

// TestTagTellsNoPartOfASecret: a page has a secret and repeats what a link says. Whoever sees its tags learns nothing of how much
// of his guess was right, unlike of the length of a compressed page: tags are of one length, and have no more in common than
// chance gives them.
func TestTagTellsNoPartOfASecret(t *testing.T) {
	const secret = "b7Xk2LqT9mWz4RvN8sYd6FhJ1cPg3AeU" //nolint:gosec // made up
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<form><input type="hidden" name="csrf_token" value="%s"></form><p>Nothing is found for %s`, secret, html.EscapeString(r.URL.Query().Get("q")))
	})
	digits := regexp.MustCompile(`^(?:W/)?"cc1\.([0-9a-f]{32})"$`)
	for name, etag := range map[string]string{
		"by default": "auto", "SHA-256": "auto {\nhash sha256\n}", "keyed": "auto {\nsecret 0123456789abcdef0123456789abcdef\n}", "csrf": "auto {\nignore csrf\n}",
	} {
		t.Run(name, func(t *testing.T) {
			c := noteSite(t, "conditional_cache {\netag "+etag+"\n}\nreverse_proxy {upstream}", upstream)
			lengths := make(map[int]bool)
			var tags [][]byte
			for right := range len(secret) + 1 {
				guess := secret[:right] + strings.Repeat("0", len(secret)-right)
				got := c.get(t, "/?q="+guess, nil).header.Get("Etag")
				lengths[len(got)] = true
				found := digits.FindStringSubmatch(got)
				if found == nil {
					t.Fatalf("the tag is %s", got)
				}
				tag, _ := hex.DecodeString(found[1])
				tags = append(tags, tag)
			}
			if len(lengths) != 1 {
				t.Errorf("tags have %d lengths", len(lengths))
			}
			for _, problem := range alike(tags) {
				t.Error(problem)
			}
		})
	}
}

// alike finds tags that have more, or less, in common than chance gives them.
func alike(tags [][]byte) (found problems) {
	for i, tag := range tags {
		for j, other := range tags[:i] {
			// Of two random tags, 64 of 128 bits differ; outside of these bounds are fewer than one in 10^9.
			if n := bitsThatDiffer(tag, other); n < 28 || n > 100 {
				found.addf("%d and %d right characters: %d of 128 bits differ", j, i, n)
			}
		}
	}
	return found
}

func bitsThatDiffer(a, b []byte) (n int) {
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}
