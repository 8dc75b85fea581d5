package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Judges are test suites that others have written. They are run as they are, against Caddy alone and with this module: what
// passes without it has to pass with it.

// judgesFolder has the Node.js packages that testdata/judges/SHA256SUMS names. .ci/run gets them.
func judgesFolder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("CONDITIONAL_CACHE_JUDGES")
	_, err := exec.LookPath("node")
	requireProgram(t, err == nil && folder != "", "http-cache-tests, with Node.js and CONDITIONAL_CACHE_JUDGES,")
	return folder
}

// minCacheTests are how many tests of http-cache-tests there are, and minCachePasses how many a Caddy passes that does not
// cache: the package is what it was, and it does judge.
const (
	minCacheTests  = 350
	minCachePasses = 110 // of 114; a busy machine may spoil some
)

// answeredByMemory are the tests of http-cache-tests that ask for a 304 without the upstream.
var answeredByMemory = []string{
	"conditional-304-etag",
	"conditional-etag-precedence",
	"conditional-etag-strong-respond",
	"conditional-etag-strong-respond-multiple-first",
	"conditional-etag-strong-respond-multiple-last",
	"conditional-etag-strong-respond-multiple-second",
	"conditional-etag-weak-respond",
	"conditional-lm-fresh",
	"conditional-lm-fresh-earlier",
	"conditional-lm-fresh-rfc850",
}

// cacheSites are ways to put this module in front of the test server of http-cache-tests.
var cacheSites = map[string]struct {
	directives string
	gains      []string // what passes besides
	loses      []string // by decision
}{
	"bare":     {directives: "conditional_cache"},
	"encode":   {directives: "conditional_cache\nencode"},
	"remember": {directives: "conditional_cache {\nremember\n}", gains: answeredByMemory},
	"remember 60s": {
		directives: "conditional_cache {\nremember 60s\n}", gains: answeredByMemory,
		// max-age=2 is over, but whoever says 60s wants the upstream left alone for that long.
		loses: []string{"conditional-lm-stale"},
	},
}

// TestCacheTests: of the tests of http-cache-tests, those that a Caddy without this module passes are passed with it, and with
// memory those that ask for a 304 without the upstream.
func TestCacheTests(t *testing.T) {
	folder := filepath.Join(judgesFolder(t), "node_modules", "http-cache-tests")
	upstream := startCacheTests(t, folder)
	ports := map[string]int{"": freePort(t)}
	sites := cacheSite(ports[""], "", upstream)
	for name, site := range ordered(cacheSites) {
		ports[name] = freePort(t)
		sites += cacheSite(ports[name], site.directives, upstream)
	}
	runCaddy(t, sites)
	passed := make(map[string]map[string]bool)
	var found problems
	// A test that a busy machine has spoilt passes another time.
	for round := range 3 {
		for name, results := range runCacheTests(t, folder, ports) {
			if passed[name] == nil {
				passed[name] = make(map[string]bool)
			}
			maps.Copy(passed[name], results)
		}
		if found = judgeCacheTests(passed); len(found) == 0 {
			break
		}
		t.Logf("round %d: %s", round+1, strings.Join(found, "; "))
	}
	if len(found) > 0 {
		t.Fail()
	}
	for name, ids := range ordered(passed) {
		t.Logf("%-12s %d tests passed", name, len(ids))
	}
}

// judgeCacheTests compares what passes at each of cacheSites with what passes at Caddy alone, whose name is "".
func judgeCacheTests(passed map[string]map[string]bool) (found problems) {
	if len(passed[""]) < minCachePasses {
		found.addf("Caddy alone passes %d tests, want %d", len(passed[""]), minCachePasses)
	}
	for name, site := range ordered(cacheSites) {
		var lost []string
		for id := range ordered(passed[""]) {
			if !passed[name][id] {
				lost = append(lost, id)
			}
		}
		if !slices.Equal(lost, site.loses) {
			found.addf("%s: %q are lost, want %q", name, lost, site.loses)
		}
		for _, id := range site.gains {
			if !passed[name][id] {
				found.addf("%s: %s is not passed", name, id)
			}
			if passed[""][id] {
				found.addf("%s is passed by Caddy alone", id)
			}
		}
	}
	return found
}

// TestCacheTestsFindFaults shows that judgeCacheTests can fail.
func TestCacheTestsFindFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(passed map[string]map[string]bool)
		want  string
	}{
		"nothing":               {func(map[string]map[string]bool) {}, ""},
		"one is lost":           {func(p map[string]map[string]bool) { delete(p["bare"], "7") }, `bare: ["7"] are lost, want []`},
		"one is not gained":     {func(p map[string]map[string]bool) { delete(p["remember"], "conditional-lm-fresh") }, "remember: conditional-lm-fresh is not passed"},
		"a decision is made up": {func(p map[string]map[string]bool) { p["remember 60s"]["conditional-lm-stale"] = true }, "remember 60s: [] are lost"},
		"Caddy remembers":       {func(p map[string]map[string]bool) { p[""]["conditional-lm-fresh"] = true }, "passed by Caddy alone"},
		"nothing is judged":     {func(p map[string]map[string]bool) { clear(p[""]) }, "Caddy alone passes 0 tests"},
	} {
		t.Run(name, func(t *testing.T) {
			passed := asWanted()
			tt.spoil(passed)
			if found := strings.Join(judgeCacheTests(passed), "; "); tt.want == "" && found != "" || !strings.Contains(found, tt.want) {
				t.Errorf("found %q, want %q", found, tt.want)
			}
		})
	}
	output := "<- summary for `basic': of 16 tests run: 15 passed, 1 failed. 93.8%\n<- summary for `http': of 4 tests run: 4 passed, 0 failed. 100.0%\n"
	if got := litmusPassed(output); got != 19 {
		t.Errorf("litmus: %d passed, want 19", got)
	}
}

// asWanted are results that judgeCacheTests finds no fault with.
func asWanted() map[string]map[string]bool {
	passed := map[string]map[string]bool{"": {"conditional-lm-stale": true}}
	for i := range minCachePasses {
		passed[""][strconv.Itoa(i)] = true
	}
	for name, site := range cacheSites {
		passed[name] = maps.Clone(passed[""])
		for _, id := range site.gains {
			passed[name][id] = true
		}
		for _, id := range site.loses {
			delete(passed[name], id)
		}
	}
	return passed
}

// cacheSite is a site in front of the test server. Its port is its own, and so is what it remembers.
func cacheSite(port int, directives, upstream string) string {
	return fmt.Sprintf("http://:%d {\nbind 127.0.0.1\n%s\nreverse_proxy %s\n}\n", port, directives, upstream)
}

// startCacheTests runs the test server and returns its address.
func startCacheTests(t *testing.T, folder string) (addr string) {
	t.Helper()
	loopback, err := filepath.Abs("testdata/judges/loopback.cjs")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(freePort(t))
	server := exec.CommandContext(t.Context(), "node", "--require", loopback, "server/server.mjs")
	server.Dir = folder
	server.Env = append(os.Environ(), "npm_config_protocol=http", "npm_config_port="+port, "npm_config_pidfile="+filepath.Join(t.TempDir(), "pid"))
	addr = net.JoinHostPort("127.0.0.1", port)
	runUpstream(t, addr, server)
	return addr
}

// runCacheTests runs all tests against all sites at one time, most of which they spend waiting, and returns the ids of those
// that are passed, by site.
func runCacheTests(t *testing.T, folder string, ports map[string]int) map[string]map[string]bool {
	t.Helper()
	all := make(map[string]map[string]bool)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for name, port := range ports {
		wait.Go(func() {
			var stdout, stderr bytes.Buffer
			client := exec.CommandContext(t.Context(), "node", "--no-warnings", "cli.mjs")
			client.Dir, client.Stdout, client.Stderr = folder, &stdout, &stderr
			client.Env = append(os.Environ(), "npm_config_base=http://"+authority(port), "npm_package_config_id=")
			err := client.Run()
			var results map[string]any // true, or the name and message of an error
			if err == nil {
				err = json.Unmarshal(stdout.Bytes(), &results)
			}
			if err != nil || len(results) < minCacheTests {
				t.Errorf("%q: %d results, %v, %s", name, len(results), err, stderr.Bytes())
			}
			passed := make(map[string]bool)
			for id, result := range results {
				if result == true {
					passed[id] = true
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all[name] = passed
		})
	}
	wait.Wait()
	return all
}

// litmusTests is how many tests litmus 0.13 has.
const litmusTests = 104

// TestLitmus: litmus, which judges WebDAV servers, finds no fault with Apache behind Caddy, whatever this module does in between:
// methods, locks, the If field and multi-status answers pass.
func TestLitmus(t *testing.T) {
	_, err := exec.LookPath("litmus")
	requireProgram(t, err == nil, "litmus")
	upstream := startWebDAV(t)
	for name, directives := range map[string]string{
		"Caddy alone": "",
		"bare":        "conditional_cache",
		"encode":      "conditional_cache\nencode",
		"all":         "conditional_cache {\netag strong\nhead get\nguard_writes\nremember 60s\n}",
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, cacheSite(port, directives, upstream))
			litmus := exec.CommandContext(t.Context(), "litmus", "--keep-going", "http://"+authority(port)+"/")
			litmus.Dir = t.TempDir() // it leaves a log there
			output, err := litmus.CombinedOutput()
			if passed := litmusPassed(string(output)); err != nil || passed != litmusTests {
				t.Errorf("%d of %d tests passed, %v\n%s", passed, litmusTests, err, output)
			}
		})
	}
}

var litmusSummary = regexp.MustCompile(`<- summary for .*: of [0-9]+ tests run: ([0-9]+) passed, [0-9]+ failed`)

// litmusPassed adds up what litmus says of each of its programs.
func litmusPassed(output string) (passed int) {
	for _, found := range litmusSummary.FindAllStringSubmatch(output, -1) {
		n, _ := strconv.Atoi(found[1])
		passed += n
	}
	return passed
}

// startWebDAV runs a WebDAV server and returns its address.
func startWebDAV(t *testing.T) (addr string) {
	t.Helper()
	_, err := exec.LookPath("apache2")
	requireProgram(t, err == nil, "apache2")
	template, err := os.ReadFile("testdata/apache/dav.conf")
	if err != nil {
		t.Fatal(err)
	}
	prefix, port := t.TempDir(), strconv.Itoa(freePort(t))
	root, conf := filepath.Join(prefix, "files"), filepath.Join(prefix, "dav.conf")
	filled := strings.NewReplacer("{port}", port, "{root}", root, "{prefix}", prefix).Replace(string(template))
	if err := os.WriteFile(conf, []byte(filled), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	// Started as root, Apache goes on as somebody else, who has to get there.
	for _, folder := range []string{filepath.Dir(prefix), prefix, root} {
		if err := os.Chmod(folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	addr = net.JoinHostPort("127.0.0.1", port)
	// -X: one process, which an interrupt ends.
	runUpstream(t, addr, exec.CommandContext(t.Context(), "apache2", "-X", "-f", conf))
	return addr
}
