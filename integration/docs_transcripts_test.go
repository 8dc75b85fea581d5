package integration

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// runExample runs Caddyfile.example on free ports and returns what puts them into a text.
func runExample(t *testing.T) *strings.Replacer {
	t.Helper()
	return runExampleWith(t)
}

// runExampleWith runs it with some text replaced: pairs of old and new.
func runExampleWith(t *testing.T, pairs ...string) *strings.Replacer {
	t.Helper()
	t.Chdir("..")
	for _, port := range []string{":8080", ":8081", ":8082", ":2019"} {
		pairs = append(pairs, port, ":"+strconv.Itoa(freePort(t)))
	}
	ports := strings.NewReplacer(pairs...)
	if err := caddy.Load(adaptDoc(t, exampleFile, ports.Replace(readDoc(t, exampleFile))), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return ports
}

// exampleClient sends what curl sends: no Accept-Encoding, one request a connection.
func exampleClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		Timeout:   exchangeTimeout,
	}
}

// TestDocsTranscripts: the commands of the pages print what the pages show, with Caddyfile.example running.
func TestDocsTranscripts(t *testing.T) {
	x := openTerminal(t)
	x.here = runExample(t)
	for _, page := range docPages(t) {
		if _, elsewhere := ownReplays[page]; !elsewhere && !isGuide(page) && unreplayedPages[page] == "" {
			x.replayPage(t, page)
		}
	}
	if !x.seen[http.StatusOK] || !x.seen[http.StatusNotModified] {
		t.Errorf("the transcripts show %v, which should include a 200 and a 304", x.seen)
	}
}

// readmeTag is the form of tags made here.
var readmeTag = regexp.MustCompile(`^(W/)?"cc1\.[0-9a-f]{32}(\.[0-9a-z]+)?"$`)

// ownReplays are pages whose commands need something else than Caddyfile.example, and the tests that type them.
var ownReplays = map[string]string{
	commandPage:     "TestCommandLinePage",
	auditPage:       "TestAuditPageExamples",
	"docs/redis.md": "TestRedisPage",
	"xcaddy.md":     "TestXcaddyPage",
}
