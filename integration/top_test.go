package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
)

// restlessSites have a page that is another one each time, behind a rewrite and another handler.
const restlessSites = `
http://localhost:%d {
	conditional_cache
	rewrite /old/* /new
	handle {
		conditional_cache {
			etag strong
		}
		reverse_proxy {origin}
	}
}
`

// runRestless is Caddy in front of pages of which those with "new" in their path are another one each time.
func runRestless(t *testing.T) (a *admin, sites string) {
	t.Helper()
	var n atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if strings.Contains(r.URL.Path, "new") {
			_, _ = fmt.Fprintf(w, "page %d\n", n.Add(1))
			return
		}
		_, _ = fmt.Fprintln(w, "page")
	}))
	t.Cleanup(origin.Close)
	sites = strings.ReplaceAll(restlessSites, "{origin}", origin.Listener.Addr().String())
	return runAdmin(t, "", sites), sites
}

// topURLs are the URLs of the host that the overview has.
func (a *admin) topURLs(host string) (all []top.URL) {
	a.t.Helper()
	var got struct{ URLs []top.URL }
	code, answer, _ := a.ask(http.MethodGet, "/conditional_cache/top?limit=100", "")
	if err := json.Unmarshal([]byte(answer), &got); code != http.StatusOK || err != nil {
		a.t.Fatalf("%d %s, %v", code, answer, err)
	}
	for _, u := range got.URLs {
		if strings.HasPrefix(u.URL, host) {
			all = append(all, u)
		}
	}
	return all
}

// TestTopOfRestlessURLs: a page whose tag never repeats is named as clients ask for it, once though two handlers meet it; neither a
// reload nor a purge has it forgotten.
func TestTopOfRestlessURLs(t *testing.T) {
	a, sites := runRestless(t)
	c := plainClient(t, a.port)
	host := fmt.Sprintf("localhost:%d", a.port)
	ask := func(path, etag string, status int) string {
		t.Helper()
		return c.must(t, status, http.MethodGet, path, "", "If-None-Match", etag).header.Get("Etag")
	}
	steady, restless := ask("/steady", `"x"`, 200), ask("/old/page?a=1", `"x"`, 200)
	// What else this process has served may stand where the page belongs, and gives way to what is asked for more often.
	for i := 0; i < 3000 && len(a.topURLs(host)) == 0; i++ {
		restless = ask("/old/page", restless, 200)
	}
	want := a.topURLs(host)
	if len(want) != 1 || want[0].URL != host+"/old/page" || want[0].Changed == 0 {
		t.Fatalf("got %+v, want /old/page alone", want)
	}
	for i := range 3 {
		ask("/steady", steady, 304)
		restless = ask(fmt.Sprint("/old/page?a=", i), restless, 200)
	}
	want[0].Tagged, want[0].Changed, want[0].Unmatched = want[0].Tagged+3, want[0].Changed+3, want[0].Unmatched+3
	if got := a.topURLs(host); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := a.load("", sites+"\n# changed\n"); err != nil {
		t.Fatal(err)
	}
	if got := a.topURLs(host); !reflect.DeepEqual(got, want) {
		t.Errorf("after a reload: got %+v, want %+v", got, want)
	}
	a.purge(`{"all": true}`, `{"purged":[]}`)
	if got := a.topURLs(host); !reflect.DeepEqual(got, want) {
		t.Errorf("after a purge: got %+v, want %+v", got, want)
	}
	if code, answer, _ := a.ask(http.MethodGet, "/conditional_cache/top?limit=0", ""); code != http.StatusBadRequest || !strings.HasPrefix(answer, `{"error":"limit is one whole number`) {
		t.Errorf("%d %s", code, answer)
	}
}
