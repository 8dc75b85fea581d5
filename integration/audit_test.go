package integration

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/audittest"
)

// apacheModules is where Debian puts what Apache loads.
const apacheModules = "/usr/lib/apache2/modules"

// startApache serves a folder and returns its address. Below /deflate/ it compresses.
func startApache(t *testing.T, pages *pageFolder) (addr string) {
	t.Helper()
	_, err := os.Stat(filepath.Join(apacheModules, "mod_mpm_event.so"))
	program, errProgram := exec.LookPath("apache2")
	requireProgram(t, err == nil && errProgram == nil, "apache2")
	template, err := os.ReadFile("testdata/apache/httpd.conf")
	if err != nil {
		t.Fatal(err)
	}
	port, prefix := strconv.Itoa(freePort(t)), t.TempDir()
	openFolders(t, prefix, pages.dir)
	filled := strings.NewReplacer("{port}", port, "{prefix}", prefix, "{root}", pages.dir, "{modules}", apacheModules).Replace(string(template))
	conf := filepath.Join(prefix, "httpd.conf")
	if err := os.WriteFile(conf, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	addr = net.JoinHostPort("127.0.0.1", port)
	runUpstream(t, addr, exec.CommandContext(t.Context(), program, "-D", "FOREGROUND", "-f", conf))
	return addr
}

// startAuditedNginx serves a folder with and without compression.
func startAuditedNginx(t *testing.T, pages *pageFolder) (addr string) {
	t.Helper()
	return runNginx(t, "audit.conf", pages.dir)
}

// openFolders lets another user into temporary folders: what Apache serves with is not root.
func openFolders(t *testing.T, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		for ; folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
			if err := os.Chmod(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// lookAt looks at URLs as the command does.
func lookAt(t *testing.T, options audit.Options, urls ...string) *audit.Report {
	t.Helper()
	options.Timeout = exchangeTimeout
	return audittest.Look(t, options, urls...)
}

// findings are all that there are at some URLs.
func findings(t *testing.T, options audit.Options, urls ...string) (all []audit.Finding) {
	t.Helper()
	report := lookAt(t, options, urls...)
	for _, page := range report.Pages {
		all = append(all, page.Findings...)
	}
	return append(all, report.Site...)
}

// auditedCaddyfile serves a folder at a port.
const auditedCaddyfile = `
http://127.0.0.1:%d {
	root %s
	handle_path /encode/* {
		encode
		file_server
	}
	handle_path /ours/* {
		encode
		conditional_cache {
			cache_control no-cache
		}
		file_server
	}
	handle_path /replace/* {
		encode
		conditional_cache {
			etag auto {
				existing replace
			}
			cache_control no-cache
		}
		file_server
	}
	file_server
}
`

// TestAuditOfRealServers: what well-known servers do, each as Debian or its documentation configures it.
func TestAuditOfRealServers(t *testing.T) {
	pages := newPageFolder(t)
	port := freePort(t)
	runCaddy(t, fmt.Sprintf(auditedCaddyfile, port, pages.dir))
	caddyAddr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for _, server := range []struct {
		name  string
		start func(*testing.T, *pageFolder) string
		want  map[string][]string // by path
	}{
		{"nginx", startAuditedNginx, map[string][]string{
			"/page.html":                   {"heuristic"},
			"/gzip/page.html":              {"not_modified_without", "heuristic"}, // Vary
			"/gzip-without-vary/page.html": {"vary_missing", "heuristic"},
			"/expires/page.html":           {},
			"/zip.html":                    {"date_epoch"},
		}},
		{"apache", startApache, map[string][]string{
			"/page.html": {"heuristic"},
			// The tag has "-gzip" at its end, by which Apache does not know it.
			"/deflate/page.html": {"coding_not_confirmed", "not_modified_without", "heuristic"},
			"/expires/page.html": {},
		}},
		{"caddy", func(*testing.T, *pageFolder) string { return caddyAddr }, map[string][]string{
			"/page.html": {"heuristic"},
			"/zip.html":  {"date_epoch"},
			// encode gives the tag of a 200 a suffix, and that of a 304 none.
			"/encode/page.html": {"not_modified_changes", "heuristic"},
			// A row says nothing on a 304 that file_server has made; under existing replace it is made here.
			"/ours/page.html":    {"not_modified_without", "not_modified_changes"},
			"/replace/page.html": {"head_without"}, // a note
		}},
		{"django", startDjango, map[string][]string{
			"/plain":      {"no_validator", "head_body"}, // neither Django nor gunicorn takes the body off
			"/plain/gzip": {"no_validator", "head_body"},
			"/dated":      {"no_tag", "head_body", "heuristic"},
			"/etagged":    {"head_body"},
			"/contact":    {"unstable_body", "head_body"},
			"/scripted":   {"unstable_body", "head_body"},
			"/error500":   {"not_ok"},
		}},
	} {
		t.Run(server.name, func(t *testing.T) {
			addr := server.start(t, pages)
			var urls []string
			for path := range server.want {
				urls = append(urls, "http://"+addr+path)
			}
			for _, page := range lookAt(t, audit.Options{Concurrency: 4}, urls...).Pages {
				checkPage(t, page, server.want[strings.TrimPrefix(page.URL, "http://"+addr)])
			}
		})
	}
}

func checkPage(t *testing.T, page *audit.Page, want []string) {
	t.Helper()
	var names []string
	for _, f := range page.Findings {
		names = append(names, f.Kind.String())
		t.Logf("%s: %s: %s\n%s%s", page.URL, f.Kind, f.Evidence, f.Cure.Caddyfile(), f.Cure.Reason)
	}
	if !slices.Equal(names, want) {
		t.Errorf("%s: %q, want %q", page.URL, names, want)
	}
}

// curedSite is a server with a fault behind Caddy.
type curedSite struct {
	script    *audittest.Script
	cure      string
	upstreams []string
	addresses []string // of Caddy, one for each upstream
}

// curedSites runs the servers whose faults can be cured, and a Caddy in front of them.
func curedSites(t *testing.T) (all []*curedSite) {
	t.Helper()
	for _, s := range audittest.Scripts() {
		site := &curedSite{script: s, cure: cureOf(t, s)}
		if site.cure == "" {
			continue
		}
		for _, one := range []*audittest.Script{s, s.Replica} {
			if one != nil {
				upstream := httptest.NewServer(one.Handler())
				t.Cleanup(upstream.Close)
				site.upstreams = append(site.upstreams, upstream.Listener.Addr().String())
			}
		}
		all = append(all, site)
	}
	// Ports for Caddy are chosen when all servers have theirs, or one might get a port that is free for the moment.
	var config strings.Builder
	for _, site := range all {
		for _, upstream := range site.upstreams {
			port := freePort(t)
			fmt.Fprintf(&config, "http://:%d {\n\tbind 127.0.0.1\n%s\n\treverse_proxy %s\n}\n", port, site.cure, upstream)
			site.addresses = append(site.addresses, fmt.Sprintf("127.0.0.1:%d", port))
		}
	}
	runCaddy(t, config.String())
	return all
}

// TestAuditCures: behind a Caddy with the lines that a finding offers, there is no such finding any more.
func TestAuditCures(t *testing.T) {
	for _, site := range curedSites(t) {
		t.Run(site.script.Kind.String(), func(t *testing.T) {
			var urls []string
			for _, path := range pathsOf(site.script) {
				urls = append(urls, "http://"+site.addresses[0]+path)
			}
			for _, f := range findings(t, audit.Options{Pause: time.Millisecond, Addresses: site.addresses}, urls...) {
				// What was not seen says nothing of the cure.
				if slices.Contains([]audit.Kind{site.script.Kind, audit.Unreachable, audit.NotOK, audit.ProbeFailed}, f.Kind) {
					t.Errorf("still %s: %s", f.Kind, f.Evidence)
				}
			}
		})
	}
}

func pathsOf(s *audittest.Script) []string {
	if s.Paths == nil {
		return []string{"/"}
	}
	return s.Paths
}

// cureOf is what the audit offers for a server's fault, empty if that is not in Caddy's hands.
func cureOf(t *testing.T, s *audittest.Script) string {
	t.Helper()
	upstream := httptest.NewServer(s.Handler())
	defer upstream.Close()
	options := audit.Options{Pause: -1}
	if s.Replica != nil {
		replica := httptest.NewServer(s.Replica.Handler())
		defer replica.Close()
		options.Addresses = []string{upstream.Listener.Addr().String(), replica.Listener.Addr().String()}
	}
	var urls []string
	for _, path := range pathsOf(s) {
		urls = append(urls, upstream.URL+path)
	}
	for _, f := range findings(t, options, urls...) {
		if f.Kind == s.Kind {
			return f.Cure.Caddyfile()
		}
	}
	t.Errorf("%s is not found without Caddy", s.Kind)
	return ""
}

// TestAuditPageHasEveryFinding: the table of docs/audit.md is that of the code, in its order.
func TestAuditPageHasEveryFinding(t *testing.T) {
	page := readDoc(t, filepath.Join("..", auditPage))
	_, table, found := strings.Cut(page, "|---|---|---|---|---|\n")
	if !found {
		t.Fatal("there is no table of findings")
	}
	rows := strings.Split(table, "\n")
	for i, kind := range audit.Kinds() {
		what := kind.Cure().Reason
		if line := kind.Cure().Inline(); line != "" {
			what = strings.TrimSuffix("`"+line+"`. "+what, ". ")
		}
		want := fmt.Sprintf("| `%s` | %s | %s | %s | %s |", kind, kind.Severity(), kind.Sentence(), kind.Section(), what)
		if i >= len(rows) || rows[i] != want {
			t.Fatalf("row %d of %s has to be\n%s", i+1, auditPage, want)
		}
	}
	if rows[len(audit.Kinds())] != "" {
		t.Errorf("%s has a row more: %s", auditPage, rows[len(audit.Kinds())])
	}
	if lines := strings.Count(page, "\n"); lines > 250 {
		t.Errorf("%d lines", lines)
	}
	if !strings.Contains(page, fmt.Sprintf("**%d requests**", audit.MaxRequests)) {
		t.Errorf("%s does not say that %d requests are sent at most", auditPage, audit.MaxRequests)
	}
}

const auditPage = "docs/audit.md"

// TestAuditPageHasEveryOption: and no other one.
func TestAuditPageHasEveryOption(t *testing.T) {
	_, flags, _ := strings.Cut(auditCommand(t, "--help").out, "\nFlags:\n")
	known := optionNames.FindAllString(flags, -1)
	if len(known) < 10 {
		t.Fatalf("options: %v", known)
	}
	wantOptions(t, auditPage, "| `", known)
}

// optionNames are names of options, on a page or in the help of a command.
var optionNames = regexp.MustCompile(`--[a-z][a-z-]*`)

// wantOptions wants a page to have the options of a command, each behind a mark, and no others.
func wantOptions(t *testing.T, path, mark string, known []string) {
	t.Helper()
	page := readDoc(t, filepath.Join("..", path))
	for _, flag := range known {
		if flag != "--help" && !strings.Contains(page, mark+flag) {
			t.Errorf("%s does not speak of %s", path, flag)
		}
	}
	for _, flag := range optionNames.FindAllString(page, -1) {
		if !slices.Contains(known, flag) {
			t.Errorf("%s speaks of %s, which there is not", path, flag)
		}
	}
}
