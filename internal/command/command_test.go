package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// endpoint answers as an admin endpoint does, and notes what it is asked.
type endpoint struct {
	*httptest.Server
	status int
	answer string
	asked  []string
}

func newEndpoint(t *testing.T, status int, answer string) *endpoint {
	t.Helper()
	e := &endpoint{status: status, answer: answer}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.asked = append(e.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL, body)))
		w.WriteHeader(e.status)
		_, _ = io.WriteString(w, e.answer)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) address() string { return e.Listener.Addr().String() }

// run carries a command out, and returns what it prints.
func run(command func() *cobra.Command, args ...string) (out string, err error) {
	cmd := command()
	var b bytes.Buffer
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.Execute()
	return b.String(), err
}

// statusOf is the exit status that Caddy makes of an error.
func statusOf(err error) int {
	switch {
	case err == nil:
		return 0
	case fmt.Sprintf("%T", err) == "*caddycmd.exitError":
		return exitUsage
	}
	return exitFailed
}

const stores = `[{"name":"memory","entries":12,"first_seen":0,"hits":30,"misses":10,"evictions":1,"errors":0,"available":true},` +
	`{"name":"redis a","entries":-1,"first_seen":-1,"hits":0,"misses":0,"evictions":0,"errors":3,"available":false}]`

func TestStatus(t *testing.T) {
	const said = `{"held":{"bytes":1500,"max_total":268435456},"stores":` + stores + `}`
	e := newEndpoint(t, 200, said)
	want := e.address() + ` buffers 1500 bytes of bodies, at most 268.4 MB
STORE    RECORDS  FIRST SEEN  FOUND  NOT FOUND  SHARE  DROPPED  ERRORS
memory        12           0     30         10   75 %        1       0  asked
redis a        ?           ?      0          0      -        0       3  left alone, as it has failed
`
	if got, err := run(statusCommand, "--address", e.address()); err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	if got, err := run(statusCommand, "--address", e.address(), "--json"); err != nil || got != said {
		t.Errorf("%v, %s", err, got)
	}
	e.answer = `{"held":{"bytes":0,"max_total":1},"stores":[]}`
	if got, err := run(statusCommand, "--address", e.address()); err != nil || !strings.HasSuffix(got, "so there is no store\n") {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestTroubleWithTheEndpoint: what it answers instead is said, with the exit status that tells who has to do something.
func TestTroubleWithTheEndpoint(t *testing.T) {
	gone := newEndpoint(t, 200, "")
	gone.Close()
	for name, test := range map[string]struct {
		endpoint *endpoint
		address  string
		status   int
		err      string
	}{
		"another Caddy": {endpoint: newEndpoint(t, 404, "404 page not found"), status: 1, err: "built without conditional_cache"},
		"its own words": {endpoint: newEndpoint(t, 403, `{"error":"host not allowed"}`), status: 1, err: "host not allowed"},
		"no JSON":       {endpoint: newEndpoint(t, 200, "hello"), status: 1, err: ""},
		"nobody there":  {address: gone.address(), status: 1, err: "refused"},
		"no address":    {address: "a:b:c", status: 2, err: "making request"},
		"a range":       {address: "localhost:1-3", status: 2, err: "invalid admin address"},
	} {
		for command, args := range map[*func() *cobra.Command][]string{new(statusCommand): nil, new(topCommand): {"--once"}, new(purgeCommand): {"--all"}} {
			address := test.address
			if test.endpoint != nil {
				address = test.endpoint.address()
			}
			_, err := run(*command, append(args, "--address", address)...)
			if statusOf(err) != test.status || !strings.Contains(fmt.Sprint(unwrapped(err)), test.err) {
				t.Errorf("%s, %s: %d, %v", name, (*command)().Name(), statusOf(err), err)
			}
		}
	}
}

// unwrapped is what an error of Caddy's is about.
func unwrapped(err error) error {
	if inner := errors.Unwrap(err); inner != nil && fmt.Sprintf("%T", err) == "*caddycmd.exitError" {
		return inner
	}
	return err
}

// TestPurge: what the endpoint is told, and what is said of its answer.
func TestPurge(t *testing.T) {
	const page, purged = "https://example.com/page?x=1", `{"purged":["memory","redis a"]}`
	const half = `{"error":"not purged","purged":["memory"],"failed":{"redis a":"down"}}`
	for name, test := range map[string]struct {
		args        []string
		code        int
		answer      string
		asked       string
		status      int
		out, errors string
	}{
		"a URL":       {[]string{page}, 200, purged, `{"url":"` + page + `"}`, 0, "purged " + page + " from memory, redis a\n", ""},
		"a prefix":    {[]string{"--prefix", "https://example.com"}, 200, purged, `{"prefix":"https://example.com"}`, 0, "purged all below https://example.com from", ""},
		"all":         {[]string{"--all", "--store", "memory"}, 200, `{"purged":["memory"]}`, `{"all":true,"store":"memory"}`, 0, "purged everything from memory\n", ""},
		"no store":    {[]string{"--all"}, 200, `{"purged":[]}`, `{"all":true}`, 0, "nothing was to be purged", ""},
		"half of it":  {[]string{"--all"}, 503, half, `{"all":true}`, 1, "purged everything from memory\n", "redis a: down; purge the same again"},
		"no such URL": {[]string{"example.com"}, 400, `{"error":"url: \"example.com\" is not a whole URL"}`, `{"url":"example.com"}`, 2, "", "is not a whole URL"},
		"which store": {[]string{"--all", "--store", "x"}, 404, `{"error":"store: \"x\" is not in use"}`, `{"all":true,"store":"x"}`, 1, "", "is not in use"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, test.code, test.answer)
			out, err := run(purgeCommand, append(test.args, "--address", e.address())...)
			if statusOf(err) != test.status || !strings.Contains(out, test.out) || !strings.Contains(fmt.Sprint(unwrapped(err)), test.errors) {
				t.Errorf("%d %q, %v", statusOf(err), out, err)
			}
			if want := "POST /conditional_cache/purge " + test.asked; len(e.asked) != 1 || !sameOrder(e.asked[0], want) {
				t.Errorf("asked %q, want %q", e.asked, want)
			}
		})
	}
}

// sameOrder compares two requests, whose JSON may be escaped otherwise.
func sameOrder(a, b string) bool {
	headA, bodyA, _ := strings.Cut(a, "{")
	headB, bodyB, _ := strings.Cut(b, "{")
	var orderA, orderB order
	return headA == headB && json.Unmarshal([]byte("{"+bodyA), &orderA) == nil && json.Unmarshal([]byte("{"+bodyB), &orderB) == nil && orderA == orderB
}

// TestPurgeEverywhere: each address is asked, though one before it fails.
func TestPurgeEverywhere(t *testing.T) {
	down, up := newEndpoint(t, 500, "broken"), newEndpoint(t, 200, `{"purged":["memory"]}`)
	out, err := run(purgeCommand, "--all", "--address", down.address(), "--address", up.address())
	if statusOf(err) != 1 || out != up.address()+": purged everything from memory\n" || !strings.Contains(err.Error(), down.address()+": 500 broken") {
		t.Errorf("%d %q, %v", statusOf(err), out, err)
	}
}

// TestUsage: what is asked for wrongly ends with 2, before anybody is asked.
func TestUsage(t *testing.T) {
	e := newEndpoint(t, 200, "")
	for name, test := range map[string]struct {
		command func() *cobra.Command
		args    []string
		err     string
	}{
		"status of what":     {statusCommand, []string{"memory"}, "has no arguments"},
		"a flag":             {statusCommand, []string{"--colour"}, "unknown flag"},
		"no configuration":   {statusCommand, []string{"--config", "none"}, "no such file"},
		"purge of nothing":   {purgeCommand, nil, "nothing is named"},
		"an empty URL":       {purgeCommand, []string{""}, "an empty URL"},
		"an empty prefix":    {purgeCommand, []string{"--prefix="}, "an empty URL"},
		"two purges":         {purgeCommand, []string{"https://example.com/", "--all"}, "three purges"},
		"two URLs":           {purgeCommand, []string{"https://example.com/", "https://example.com/a"}, "give one of them"},
		"not all":            {purgeCommand, []string{"--all=false"}, "names nothing"},
		"a store of no name": {purgeCommand, []string{"--all", "--store="}, "store without a name"},
		"top of what":        {topCommand, []string{"10"}, "has no arguments"},
		"no rows":            {topCommand, []string{"--limit", "0"}, "1 to 100"},
		"too many rows":      {topCommand, []string{"--limit", "101"}, "1 to 100"},
		"too often":          {topCommand, []string{"--interval", "1ms"}, "100ms or more"},
		"explain what":       {explainCommand, nil, "about one URL"},
		"explain two":        {explainCommand, []string{"http://a/", "http://b/"}, "there are 2"},
		"explain no URL":     {explainCommand, []string{"example.com"}, "begins with http://"},
		"a condition":        {explainCommand, []string{"http://a/", "-H", "If-None-Match: x"}, "cannot be given"},
		"no place":           {explainCommand, []string{"http://a/", "--connect", "localhost"}, "host:port"},
		"no time":            {explainCommand, []string{"http://a/", "--timeout", "0"}, "more than nothing"},
	} {
		args := test.args
		if name != "no configuration" && name != "a flag" {
			args = append(args, "--address", e.address())
		}
		if _, err := run(test.command, args...); statusOf(err) != 2 || !strings.Contains(fmt.Sprint(unwrapped(err)), test.err) {
			t.Errorf("%s: %d, %v", name, statusOf(err), err)
		}
	}
	if len(e.asked) != 0 {
		t.Errorf("asked %q", e.asked)
	}
}

// overviewAt is an overview for which much was counted by then.
func overviewAt(seconds, n uint64) *topSaid {
	since := time.Date(2026, 11, 28, 12, 0, 0, 0, time.Local) //nolint:gosmopolitan // it is shown in that
	return &topSaid{
		Since: since, Conditional: 3 * n, NotModified: 2 * n, FromMemory: n,
		Reasons:       []reasonSaid{{"tagged", "none_matched", 10 * n, "If-None-Match names other tags"}, {"streamed", "max_body", 1, "too long"}},
		NotRemembered: []reasonSaid{{"", "private", n, "the upstream says private"}},
		URLs:          []top.URL{{URL: "h.example/\x1b[2J", Tagged: n, Changed: n - 1, Unmatched: n - 2, NotModified: 1}},
		taken:         since.Add(time.Duration(seconds) * time.Second),
	}
}

// TestOverview: totals once, and rates beside them where there was a look before.
func TestOverview(t *testing.T) {
	var once, live strings.Builder
	now := overviewAt(12, 30)
	if err := errors.Join(now.write(&once, &view{address: "a:1"}), now.write(&live, &view{address: "a:1", before: overviewAt(10, 20)})); err != nil {
		t.Fatal(err)
	}
	wantOnce := `a:1 since 28 November 2026, 12:00:00
conditional requests: 90, answers 304: 60, of these from memory: 30

WHY NO 304           TOTAL
tagged none_matched    300  If-None-Match names other tags
streamed max_body        1  too long

WHY NOT REMEMBERED  TOTAL
private                30  the upstream says private

WHERE THE TAG DOES NOT REPEAT  200  CHANGED  UNMATCHED  304
h.example/ [2J                  30       29         28    1
`
	if once.String() != wantOnce {
		t.Errorf("got\n%s\nwant\n%s", &once, wantOnce)
	}
	for _, want := range []string{
		"conditional requests: 90 (15.0/s), answers 304: 60 (10.0/s), of these from memory: 30 (5.0/s)",
		"tagged none_matched    300  50.0/s  If-None-Match", "streamed max_body        1   0.0/s  too long", "       29  5.0/s  ",
	} {
		if !strings.Contains(live.String(), want) {
			t.Errorf("no %q in\n%s", want, &live)
		}
	}
	began := overviewAt(10, 20)
	began.Since = began.Since.Add(-time.Hour)
	var anew strings.Builder
	if err := now.write(&anew, &view{address: "a:1", before: began}); err != nil || strings.Contains(anew.String(), "/s") {
		t.Errorf("rates over a restart: %v\n%s", err, &anew)
	}
}

// TestFrame: a frame fits the terminal, and colours end with their line.
func TestFrame(t *testing.T) {
	got := frame("\x1b[1mTITLE\x1b[0m\nümläut and more\nthird\n", "", 6, 3)
	want := "\x1b[H\x1b[1mTITLE\x1b[0m\x1b[K\r\nümläut\x1b[K\r\nq ends\x1b[K\x1b[J"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := cut("\x1b[1mlong title\x1b[0m", 4); got != "\x1b[1mlong\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := frame("a", "no answer", 80, 24); !strings.Contains(got, "no answer; q ends") {
		t.Errorf("%q", got)
	}
	if got := (&view{colour: true}).paint("a:1 since\nWHY NO 304  1\ntagged x\n"); got != "a:1 since\n\x1b[1mWHY NO 304  1\x1b[0m\ntagged x\n" {
		t.Errorf("%q", got)
	}
}

// TestKeysThatEnd: of what is typed, q and Ctrl-C end it, and so does the end of input.
func TestKeysThatEnd(t *testing.T) {
	for _, keys := range []string{"q", "xyQz", "x\x03z", ""} {
		typed := strings.NewReader(keys)
		awaitEnd(typed)
		if rest, _ := io.ReadAll(typed); strings.Contains(keys, "z") && string(rest) != "z" {
			t.Errorf("%q: %q was not read", keys, rest)
		}
	}
}

func asIs(_, sentence string) string { return sentence }

// TestCountersSay: what became more in between is told, and by whom it was not.
func TestCountersSay(t *testing.T) {
	before, after := overviewAt(0, 20), overviewAt(1, 20)
	after.NotModified++
	after.FromMemory++
	before.CacheControl = []lineSaid{{1, reasonSaid{"", "added", 7, "it applies"}}}
	after.CacheControl = []lineSaid{{1, reasonSaid{"", "added", 7, "it applies"}}, {3, reasonSaid{"", "added", 2, "it applies"}}, {0, reasonSaid{"", "no_match", 1, "none matches"}}}
	after.Reasons = append([]reasonSaid{{"tagged", "no_condition", 1, "the request has no condition"}}, after.Reasons...)
	before.Stores, after.Stores = []storeSaid{{Name: "memory"}}, []storeSaid{{"memory", validators.Stats{Entries: 1, Hits: 1, Misses: 1}}}
	got := strings.Join(countersSay("a:1", before, after, 2, asIs), "\n")
	want := `The Caddy at a:1 has counted in between: answers 2, of these 304 1, and of these from memory 1.
No 304, once: no_condition, the request has no condition.
cache_control, 2 times: line 3 of the block, added, it applies.
cache_control, once: no_match, none matches.
Store memory: 1 remembered more than before, 1 found, 1 not found.`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	anew := overviewAt(1, 20)
	anew.Since = anew.Since.Add(time.Minute)
	for want, said := range map[string][]string{
		"those of others are among them": countersSay("a:1", before, overviewAt(1, 21), 2, asIs),
		"has counted nothing in between: these requests did not come through its conditional_cache. Is it another Caddy? --address": countersSay("a:1", before, overviewAt(1, 20), 2, asIs),
		"Or the directive stands behind what answers":                      countersSay("a:1", before, overviewAt(1, 20), 2, asIs),
		"did not answer a second time":                                     countersSay("a:1", before, nil, 2, asIs),
		"was started anew in between, or two Caddys answer at a:1, so its": countersSay("a:1", before, anew, 2, asIs),
	} {
		if !strings.Contains(said[0], want) {
			t.Errorf("%q, want %q", said, want)
		}
	}
}
