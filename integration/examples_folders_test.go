package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

// What the examples send of a folder: nothing that is one user's for everybody, no secrets, and a 304 that says what its 200 says.

// siteFolder is a folder with files that are not in the examples.
func siteFolder(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFiles(t, map[string]string{path: content})
	}
	return dir
}

// TestExamplePHPScriptsAreNoFiles: what PHP answers below the folders of files is never said to be everybody's.
func TestExamplePHPScriptsAreNoFiles(t *testing.T) {
	const account = "<?php\nheader('Content-Type: text/html');\necho 'Hello, ', $_COOKIE['wordpress_logged_in'] ?? 'guest';\n"
	dir := siteFolder(t, map[string]string{
		"index.php":                         account,
		"wp-content/plugins/shop/ajax.php":  account,
		"wp-content/plugins/shop/index.php": account,
		"wp-content/style.css":              "body { margin: 0 }\n",
	})
	c := runSiteExample(t, "php-wordpress", "UPSTREAM", startPHP(t), "ROOT", dir)[0]
	for _, path := range []string{
		"/wp-content/plugins/shop/ajax.php", "/wp-content/plugins/shop/AJAX.php", "/wp-content/plugins/shop/ajax.php/account", "/wp-content/plugins/shop/",
		"/wp-content/plugins/shop/ajax%2ephp", "/wp-content/none.css", "/wp-content/", "/wp-includes/none.js",
	} {
		got := c.fetch(t, path, "Cookie", "wordpress_logged_in=ada")
		if got.status != http.StatusOK || !strings.HasPrefix(got.body, "Hello, ") {
			t.Errorf("%s: %v, want what a script says", path, got)
		}
		if says := got.header.Get("Cache-Control"); says != "no-cache" {
			t.Errorf("%s of one user: Cache-Control %q", path, says)
		}
	}
	c.assets(t, "/wp-content/style.css", "public, max-age=604800", toldByUpstream)
}

// TestExamplesHideSecrets: a folder of an application has files that nobody may read.
func TestExamplesHideSecrets(t *testing.T) {
	for _, name := range []string{"php-wordpress", "laravel", "rails", "static"} {
		t.Run(name, func(t *testing.T) {
			dir := siteFolder(t, map[string]string{
				".env": "SECRET=1\n", ".git/config": "SECRET=1\n", "blog/.htpasswd": "SECRET=1\n",
				".well-known/security.txt": "Contact: mailto:security@example.com\n", "robots.txt": "User-agent: *\n",
			})
			c := runSiteExample(t, name, "ROOT", dir)[0]
			for _, path := range []string{"/.env", "/.git/config", "/blog/.htpasswd", "/%2eenv", "//.env", "/blog/../.env"} {
				if got := c.fetch(t, path); got.status != http.StatusNotFound || strings.Contains(got.body, "SECRET") {
					t.Errorf("%s: %v", path, got)
				}
			}
			mustSay(t, c.fetch(t, "/.well-known/security.txt"), "Contact:")
			mustSay(t, c.fetch(t, "/robots.txt"), "User-agent")
		})
	}
}

// TestExamplesFilesAreAudited: file_server makes 304s of its own, which have to say what the 200 says.
func TestExamplesFilesAreAudited(t *testing.T) {
	files := map[string]string{"index.html": "<!doctype html>\n<title>Home</title>\n", "about/index.html": "<!doctype html>\n<title>About</title>\n"}
	for _, path := range []string{"assets/a.css", "build/a.css", "wp-content/a.css", "wp-content/uploads/a.css", "a.css"} {
		files[path] = "body { margin: 0 }\n"
	}
	dir := siteFolder(t, files)
	for name, paths := range map[string][]string{
		"django":        {"/static/a.css", "/media/a.css"},
		"laravel":       {"/build/a.css"},
		"php-wordpress": {"/wp-content/a.css", "/wp-content/uploads/a.css"},
		"policy":        {"/assets/a.css"},
		"rails":         {"/assets/a.css"},
		"static":        {"/", "/about/", "/assets/a.css", "/a.css"},
	} {
		t.Run(name, func(t *testing.T) {
			c := runSiteExample(t, name, "ROOT", dir, "STATIC", dir, "MEDIA", dir)[0]
			var urls []string
			for _, path := range paths {
				urls = append(urls, "http://"+c.host+path)
			}
			for _, finding := range findings(t, audit.Options{}, urls...) {
				if finding.Kind == audit.NotModifiedWithout {
					t.Errorf("%v", finding)
				}
			}
		})
	}
}

// TestGuidePHPSignedIn: the lines of the guide for PHP that is not WordPress keep what is one user's with that user.
func TestGuidePHPSignedIn(t *testing.T) {
	dir := siteFolder(t, map[string]string{
		"index.php":   "<?php echo 'Hello, ', $_COOKIE['PHPSESSID'] ?? 'guest';\n",
		"css/a.css":   "body { margin: 0 }\n",
		"css/own.php": "<?php echo 'Hello, ', $_COOKIE['PHPSESSID'] ?? 'guest';\n",
	})
	blocks := codeBlocks(t, "../docs/guides/php-wordpress.md", "caddyfile")
	port := freePort(t)
	text := strings.NewReplacer(":8080", fmt.Sprintf(":%d", port), "/srv/app/public", dir, "unix//run/php/php-fpm.sock", startPHP(t)).Replace(blocks[1].text)
	runCaddy(t, text)
	c := plainClient(t, port)
	c.untilRemembered(t, "/")
	guest := c.fetch(t, "/").header.Get("Etag")
	for _, path := range []string{"/", "/css/own.php"} {
		own := c.fetch(t, path, "Cookie", "PHPSESSID=ada", "If-None-Match", guest)
		mustSay(t, own, "Hello, ada")
		if says := own.header.Get("Cache-Control"); says != "private, no-cache" {
			t.Errorf("%s of one user: Cache-Control %q", path, says)
		}
		mustSay(t, c.fetch(t, path, "If-None-Match", own.header.Get("Etag")), "Hello, guest")
	}
	if says := c.fetch(t, "/css/a.css").header.Get("Cache-Control"); says != "public, max-age=3600" {
		t.Errorf("Cache-Control of a file: %q", says)
	}
}

// TestExamplesListenHere: what is tried on one's own machine is not open to others, but in a container.
func TestExamplesListenHere(t *testing.T) {
	for _, name := range append(slices.Concat(siteExamples, moreExamples), "policy") {
		for set, want := range map[string]string{"": "127.0.0.1:", "0.0.0.0": "0.0.0.0:"} {
			t.Setenv("BIND", set)
			if set == "" {
				_ = os.Unsetenv("BIND") // which t.Setenv puts back
			}
			file := filepath.Join(exampleFolder(t, name), "Caddyfile")
			var config struct {
				Apps struct {
					HTTP struct {
						Servers map[string]struct{ Listen []string }
					}
				}
			}
			if err := json.Unmarshal(adaptDoc(t, file, readDoc(t, file)), &config); err != nil {
				t.Fatal(err)
			}
			if len(config.Apps.HTTP.Servers) == 0 {
				t.Errorf("%s has no server", name)
			}
			for _, server := range config.Apps.HTTP.Servers {
				if len(server.Listen) != 1 || !strings.HasPrefix(server.Listen[0], want) {
					t.Errorf("%s with BIND=%s listens at %q, want %s", name, set, server.Listen, want)
				}
			}
		}
	}
}
