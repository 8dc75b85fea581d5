package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What a Server-Timing of the examples begins with, of a 304.
const (
	toldByMemory   = `cc;desc="not_modified remembered"`
	toldByTag      = `cc;desc="not_modified if_none_match"`
	toldByUpstream = `cc;desc="not_modified upstream"`
)

// What a Server-Timing of the examples has where nothing is remembered.
const (
	ofCookies = "not remembered: cookie"
	isPrivate = "not remembered: withdrawn"
)

// guestsPages are pages that each guest gets alike: a reload is answered from memory.
func guestsPages(t *testing.T, c *client, paths ...string) {
	t.Helper()
	for _, path := range paths {
		c.reload(t, path, toldByMemory)
	}
}

// The example with its own site, behind gunicorn. What a session has to do with is nobody else's, and not remembered.
func TestExampleDjango(t *testing.T) {
	dir := exampleFolder(t, "django")
	c := runSiteExample(t, "django", "UPSTREAM", runGunicorn(t, dir, "app:application"), "STATIC", filepath.Join(dir, "static"))[0]
	checkGuide(t, "django", c)
	guestsPages(t, c, "/", "/about")
	c.assets(t, "/static/site.5f1e2a.css", "public, max-age=31536000, immutable", toldByUpstream)

	// Django gives each visitor of a form a cookie, which says nothing of other pages.
	cookie := setCookie(t, c.fetch(t, "/form"))
	c.fetch(t, "/", "Cookie", cookie)
	c.reload(t, "/", toldByMemory, "Cookie", cookie)
	c.reload(t, "/about", toldByMemory, "Cookie", cookie)
	c.reload(t, "/form", toldByTag, "Cookie", cookie)
	guest := c.fetch(t, "/")

	// Who signs in gets a message, once, and pages of one's own.
	session := signIn(t, c, cookie, "ada")
	welcome := c.fetch(t, "/", "Cookie", session, "If-None-Match", guest.header.Get("Etag"))
	mustSay(t, welcome, "You are signed in.", "Hello, ada.")
	session = cookie + "; " + setCookie(t, welcome)
	own := c.fetch(t, "/", "Cookie", session, "If-None-Match", welcome.header.Get("Etag"))
	mustSay(t, own, "Hello, ada.")
	if got := own.header.Get("Cache-Control"); got != "private, no-cache" || strings.Contains(own.body, "You are signed in") {
		t.Errorf("%q, %v", got, own)
	}
	c.reload(t, "/", toldByTag, "Cookie", session)
	mustSay(t, c.fetch(t, "/", "If-None-Match", own.header.Get("Etag")), "Hello, guest.")

	// What somebody writes ends what is remembered for guests: here of the page to which the answer leads.
	guestsPages(t, c, "/")
	signIn(t, c, session, "grace")
	c.forgotten(t, "/", guest.header.Get("Etag"))
}

// TestDjangoSmallest: the first lines of the guide are enough for pages without a form.
func TestDjangoSmallest(t *testing.T) {
	upstream := runGunicorn(t, exampleFolder(t, "django"), "app:application")
	port := freePort(t)
	text := codeBlocks(t, "../docs/guides/django.md", "caddyfile")[0].text
	runCaddy(t, strings.NewReplacer(":8080", fmt.Sprintf(":%d", port), "127.0.0.1:8000", upstream).Replace(text))
	c := plainClient(t, port)
	for _, path := range []string{"/", "/about"} {
		tag := c.fetch(t, path).header.Get("Etag")
		c.must(t, http.StatusNotModified, http.MethodGet, path, "", "If-None-Match", tag)
		c.must(t, http.StatusOK, http.MethodGet, path, "", "If-None-Match", strings.Replace(tag, "cc1.", "cc1.0", 1))
	}
}

// signIn posts the example's form with the token of one's cookie, and returns the cookies with that of the session.
func signIn(t *testing.T, c *client, cookies, name string) string {
	t.Helper()
	form := c.fetch(t, "/form", "Cookie", cookies)
	token := regexp.MustCompile(`name="csrfmiddlewaretoken" value="(\w+)"`).FindStringSubmatch(form.body)
	if token == nil {
		t.Fatalf("no token in %q", form.body)
	}
	signedIn := c.must(t, http.StatusFound, http.MethodPost, "/sign-in", "csrfmiddlewaretoken="+token[1]+"&name="+name,
		"Cookie", cookies, "Content-Type", "application/x-www-form-urlencoded")
	return cookies + "; " + setCookie(t, signedIn)
}

// The example with pages that send what WordPress sends, and one with a session, behind PHP.
func TestExamplePHP(t *testing.T) {
	dir := filepath.Join(exampleFolder(t, "php-wordpress"), "site")
	c := runSiteExample(t, "php-wordpress", "UPSTREAM", startPHP(t), "ROOT", dir)[0]
	checkGuide(t, "php-wordpress", c)
	guestsPages(t, c, "/", "/?p=1")
	c.reload(t, "/", toldByMemory, "Cookie", "_ga=GA1.1.2.3")
	c.assets(t, "/wp-content/themes/style.css?ver=6.8", "public, max-age=604800", toldByUpstream)

	// Whoever has another cookie asks PHP: the page may have a comment that waits, a cart, a password.
	for _, cookie := range []string{"comment_author_5f1e2a=ada", "wp-postpass_5f1e2a=x", "woocommerce_items_in_cart=1"} {
		c.reload(t, "/", toldByTag, "Cookie", cookie)
		if got := c.reload(t, "/", toldByTag, "Cookie", cookie); !strings.Contains(got.header.Get("Server-Timing"), ofCookies) {
			t.Errorf("%s: %v", cookie, got)
		}
	}
	// A comment ends what is remembered of its post.
	guest := c.fetch(t, "/")
	guestsPages(t, c, "/")
	c.must(t, http.StatusFound, http.MethodPost, "/wp-comments-post.php", "author=ada", "Content-Type", "application/x-www-form-urlencoded")
	c.forgotten(t, "/", guest.header.Get("Etag"))

	own := c.fetch(t, "/", "Cookie", "wordpress_logged_in_5f1e2a=ada", "If-None-Match", guest.header.Get("Etag"))
	mustSay(t, own, "Howdy, ada.")
	session := c.fetch(t, "/session.php")
	mustSay(t, session, "Hello, guest.")
	for _, got := range []answer{own, session} {
		if got.header.Get("Etag") != "" || !strings.Contains(got.header.Get("Cache-Control"), "no-store") ||
			!strings.Contains(got.header.Get("Server-Timing"), "streamed no_store") {
			t.Errorf("%v", got)
		}
	}
}

// The example with its own site, behind Express.
func TestExampleExpress(t *testing.T) {
	dir := exampleFolder(t, "node-nextjs")
	c := runSiteExample(t, "node-nextjs", "UPSTREAM", startExpress(t, filepath.Join(dir, "app.js")))[0]
	checkGuide(t, "node-nextjs", c)
	guestsPages(t, c, "/")
	guest := c.fetch(t, "/")
	if tag := guest.header.Get("Etag"); !readmeTag.MatchString(tag) || strings.HasPrefix(tag, "W/") {
		t.Errorf("Etag: %s", tag)
	}
	c.assets(t, "/assets/site.5f1e2a.css", "public, max-age=31536000, immutable", toldByUpstream)

	account, session := c.fetch(t, "/account"), "connect.sid=ada"
	own := c.fetch(t, "/account", "Cookie", session, "If-None-Match", account.header.Get("Etag"))
	mustSay(t, own, "Hello, ada.")
	mustSay(t, c.fetch(t, "/account", "If-None-Match", own.header.Get("Etag")), "Hello, guest.")
	if got := c.reload(t, "/account", toldByTag, "Cookie", session); !strings.Contains(got.header.Get("Server-Timing"), ofCookies) {
		t.Errorf("%v", got)
	}
	c.reload(t, "/api/items", toldByTag)
	if got := c.fetch(t, "/api/items"); !strings.Contains(got.header.Get("Server-Timing"), isPrivate) {
		t.Errorf("%v", got)
	}
}

// The example's files, from Caddy's own file_server and from nginx.
func TestExampleStatic(t *testing.T) {
	dir := filepath.Join(exampleFolder(t, "static"), "site")
	sites := runSiteExample(t, "static", "ROOT", dir, "UPSTREAM", runNginx(t, "nginx.conf", dir))
	own, proxied := sites[0], sites[1]
	checkGuide(t, "static", own)
	own.reload(t, "/", toldByUpstream)
	guestsPages(t, proxied, "/", "/index.html")
	proxied.fetch(t, "/", "Cookie", "consent=yes")
	proxied.reload(t, "/", toldByMemory, "Cookie", "consent=yes")
	for _, c := range sites {
		if got := c.fetch(t, "/").header.Get("Cache-Control"); got != "no-cache" && got != "public, no-cache" {
			t.Errorf("Cache-Control: %s", got)
		}
	}
	own.assets(t, "/assets/site.5f1e2a.css", "public, max-age=31536000, immutable", toldByUpstream)
	proxied.assets(t, "/assets/site.5f1e2a.css", "public, max-age=31536000, immutable", toldByMemory)
}

// startPHP runs PHP as php-fpm does, and returns its address.
func startPHP(t *testing.T) (addr string) {
	t.Helper()
	addr = "127.0.0.1:" + strconv.Itoa(freePort(t))
	runUpstream(t, addr, exec.CommandContext(t.Context(), program(t, "php-cgi"), "-d", "session.save_path="+t.TempDir(), "-b", addr))
	return addr
}

// startExpress runs a script with Debian's Express, and returns its address.
func startExpress(t *testing.T, script string) (addr string) {
	t.Helper()
	node, port := program(t, "node"), strconv.Itoa(freePort(t))
	env := append(os.Environ(), "NODE_PATH=/usr/share/nodejs", "PORT="+port)
	check := exec.CommandContext(t.Context(), node, "-e", "require('express')")
	check.Env = env
	requireProgram(t, check.Run() == nil, "Express (node-express)")
	cmd := exec.CommandContext(t.Context(), node, script)
	cmd.Env = env
	addr = "127.0.0.1:" + port
	runUpstream(t, addr, cmd)
	return addr
}
