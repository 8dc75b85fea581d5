package peers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// somewhere is a place that nobody listens at: configurations are read there, and not run.
func somewhere(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	made, err := selfSigned(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return place{"127.0.0.1:18080", "127.0.0.1:18443", dir, made, "127.0.0.1:18081", 2}
}

// needs skips where a program is not installed, unless everything has to be there.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CONDITIONAL_CACHE_REQUIRE") == "all" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
}

// TestNginxReadsIt: what nginx is given is valid, and has what its kind is for.
func TestNginxReadsIt(t *testing.T) {
	needs(t, "nginx")
	for k, has := range map[kind]string{nginxStatic: "root /", nginxProxy: "proxy_pass http://pages;", nginxCache: "proxy_cache_revalidate on;"} {
		p := somewhere(t)
		text, err := nginxText(k, p, p.dir)
		if err != nil || !strings.Contains(text, has) || !strings.Contains(text, "worker_processes 2;") {
			t.Errorf("%s: %v\n%s", k, err, text)
		}
		config := filepath.Join(p.dir, "nginx.conf")
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "nginx", "-t", "-q", "-e", "stderr", "-p", p.dir, "-c", config).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", k, err, out)
		}
	}
}

// TestVarnishReadsIt: the VCL compiles.
func TestVarnishReadsIt(t *testing.T) {
	if testing.Short() {
		t.Skip("varnishd lets a C compiler read it")
	}
	needs(t, "varnishd")
	p := somewhere(t)
	text, err := varnishText(p.upstream)
	if err != nil || !strings.Contains(text, `.port = "18081"`) {
		t.Fatalf("%v\n%s", err, text)
	}
	vcl := filepath.Join(p.dir, "pages.vcl")
	if err := os.WriteFile(vcl, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "varnishd", "-C", "-j", "none", "-n", p.dir, "-f", vcl).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := varnishText("nowhere"); err == nil {
		t.Error("an address without a port, and no error")
	}
}

// TestCaddyConfigurations: each kind has its handler before the proxy, and both servers the same routes.
func TestCaddyConfigurations(t *testing.T) {
	for k, has := range map[kind]string{
		caddy:        `"handle":[{"handler":"reverse_proxy"`,
		directive:    `"handle":[{"handler":"conditional_cache"},{"handler":"reverse_proxy"`,
		remember:     `"handle":[{"handler":"conditional_cache","remember":{}},{"handler":"reverse_proxy"`,
		cacheHandler: `"handle":[{"handler":"cache"},{"handler":"reverse_proxy"`,
	} {
		text, err := json.Marshal(caddyConfiguration(k, somewhere(t)))
		if err != nil || strings.Count(string(text), has) != 2 {
			t.Errorf("%s: %v\n%s", k, err, text)
		}
		if app := strings.Contains(string(text), `"cache":{}`); app != (k == cacheHandler) {
			t.Errorf("%s: the app of cache-handler is there: %t", k, app)
		}
	}
}

func TestWhatABuildSays(t *testing.T) {
	const said = "go: downloading a v1\ngo: added b v2\n\nmain.go:1: no such package\nmore\n"
	if got := firstLine(said, os.ErrNotExist); got != "main.go:1: no such package" {
		t.Error(got)
	}
	if got := firstLine("go: downloading a v1\n", os.ErrNotExist); got != os.ErrNotExist.Error() {
		t.Error(got)
	}
	if _, err := obtainCacheHandler(t.Context(), "", t.TempDir()); err == nil {
		t.Error("no binary was named, and no error")
	}
}
