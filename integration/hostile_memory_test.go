package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestNobodyForgetsAPageByNamingIt: a write forgets what it is about, not what its sender says that it is about, nor what is on
// another server. One that fails forgets nothing.
func TestNobodyForgetsAPageByNamingIt(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, err := strconv.Atoi(r.Header.Get("X-Status")); err == nil {
			w.Header()["Location"] = r.Header["X-Location"]
			w.WriteHeader(status)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = w.Write([]byte("a page"))
	})
	c := noteSite(t, remembering, upstream)
	for name, tt := range map[string]struct {
		method, path, status string
		fields               []string
		forgets              bool
	}{
		"POST with Destination":              {"POST", "/other", "200", []string{"Destination", "/page"}, false},
		"PUT with Destination":               {"PUT", "/other", "200", []string{"Destination", "/page"}, false},
		"MOVE with Destinations":             {"MOVE", "/other", "201", []string{"Destination", "/else", "Destination", "/page"}, false},
		"MOVE to it":                         {"MOVE", "/other", "201", []string{"Destination", "/page"}, true},
		"MOVE that fails":                    {"MOVE", "/other", "403", []string{"Destination", "/page"}, false},
		"POST that is not allowed":           {"POST", "/page", "405", nil, false},
		"POST that needs to log in":          {"POST", "/page", "401", nil, false},
		"PURGE that is not known":            {"PURGE", "/page", "501", nil, true}, // a server's failure may be halfway
		"POST":                               {"POST", "/page", "200", nil, true},
		"POST with another query":            {"POST", "/page?x", "200", nil, false},
		"POST that leads to it":              {"POST", "/other", "303", []string{"X-Location", "/page"}, true},
		"POST that leads to another server":  {"POST", "/other", "303", []string{"X-Location", "https://example.org/page"}, false},
		"POST with a Host of another server": {"POST", "/page", "200", []string{"Host", "example.org"}, false},
		"POST with a forwarded host":         {"POST", "/other", "200", []string{"X-Forwarded-Host", c.host, "X-Original-URL", "/page", "X-Rewrite-URL", "/page"}, false},
		"POST whose sender says that it is":  {"POST", "/other", "200", []string{"Content-Location", "/page", "Location", "/page", "Referer", "/page"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			etag := c.must(t, http.StatusOK, "GET", "/page", "").header.Get("Etag")
			sender := *c
			var fields []string
			for i := 0; i < len(tt.fields); i += 2 {
				if tt.fields[i] == "Host" {
					sender.host = tt.fields[i+1]
					continue
				}
				fields = append(fields, tt.fields[i:i+2]...)
			}
			if _, err := sender.write(t.Context(), tt.method, tt.path, "x", append(fields, "X-Status", tt.status)...); err != nil {
				t.Fatal(err)
			}
			again := c.must(t, http.StatusNotModified, "GET", "/page", "", "If-None-Match", etag)
			if forgotten := again.header.Get("Age") == ""; forgotten != tt.forgets {
				t.Errorf("the page is forgotten: %t, want %t", forgotten, tt.forgets)
			}
		})
	}
}

// command sends one command to a Redis and returns its answer.
func (s *redisServer) command(t *testing.T, args ...string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	command := fmt.Sprintf("*%d\r\n", len(args))
	for _, arg := range args {
		command += fmt.Sprintf("$%d\r\n%s\r\n", len(arg), arg)
	}
	_, _ = io.WriteString(conn, command)
	_ = conn.(*net.TCPConn).CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// redisSite remembers in a Redis.
func redisSite(t *testing.T, redis *redisServer, upstream http.Handler) *client {
	t.Helper()
	return noteSite(t, "conditional_cache {\n remember 1h {\n store redis {\n address "+redis.addr+"\n timeout 3s\n }\n }\n}\nreverse_proxy {upstream}", upstream)
}

// untilRemembered asks for a page until it is answered from memory, and returns its tag. The server is connected to when the
// first request needs it.
func (c *client) untilRemembered(t *testing.T, path string, fields ...string) (etag string) {
	t.Helper()
	eventually(t, "an answer from memory", func() bool {
		etag = c.must(t, http.StatusOK, "GET", path, "", fields...).header.Get("Etag")
		return c.must(t, http.StatusNotModified, "GET", path, "", append(fields, "If-None-Match", etag)...).header.Get("Age") != ""
	})
	return etag
}

// TestARedisThatIsNotOursSetsNoCookies: who can write to the Redis can say that a page has not changed. He cannot have
// a site set cookies, send its visitors elsewhere or run other scripts.
func TestARedisThatIsNotOursSetsNoCookies(t *testing.T) {
	redis := startRedis(t)
	upstream := newCounted("page", "Cache-Control", "public, max-age=60")
	c := redisSite(t, redis, upstream)
	etag := c.untilRemembered(t, "/")
	var further string
	for _, field := range []string{"Set-Cookie", "Location", "Content-Security-Policy", "Clear-Site-Data", "Refresh", "Content-Type", "Access-Control-Allow-Origin"} {
		further += string(rune(len(field))) + field + "\x04evil"
	}
	const script = `local n = 0 for _, key in ipairs(redis.call('KEYS', '*')) do
		if redis.call('TYPE', key).ok == 'string' then
			local record = redis.call('GET', key)
			if string.byte(record) == 2 and #record > 40 then redis.call('SET', key, record .. ARGV[1], 'KEEPTTL') n = n + 1 end
		end
	end return n`
	if said := redis.command(t, "EVAL", script, "0", further); said != ":1\r\n" {
		t.Fatalf("not one record was changed, but %q", said)
	}
	eventually(t, "an answer by what was written", func() bool {
		got := c.must(t, http.StatusNotModified, "GET", "/", "", "If-None-Match", etag).header
		for name, lines := range got {
			if allowed := name == "Access-Control-Allow-Origin"; strings.Contains(strings.Join(lines, ""), "evil") && !allowed {
				t.Errorf("the 304 has %s: %s", name, lines)
			}
		}
		return got.Get("Access-Control-Allow-Origin") == "evil"
	})
}

// TestRedisDoesNotSayWho: what is kept at the server are digests with a key, tags and fields of answers. Whoever reads it learns
// no page, no cookie and no credential.
func TestRedisDoesNotSayWho(t *testing.T) {
	redis := startRedis(t)
	upstream := newCounted("the page itself", "Cache-Control", "public, max-age=60", "Vary", "Cookie, Accept-Language")
	c := redisSite(t, redis, upstream)
	fields := []string{"Cookie", "session=verysecret", "Authorization", "Bearer tokenoftheuser", "Accept-Language", "xx-language", "Origin", "https://origin.example"}
	c.untilRemembered(t, "/a/path/of/the/user?and=query", fields...)
	const script = `local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do
		table.insert(all, key)
		if redis.call('TYPE', key).ok == 'string' then table.insert(all, redis.call('GET', key)) end
	end return table.concat(all, '\n')`
	kept := redis.command(t, "EVAL", script, "0")
	if !strings.Contains(kept, "public, max-age=60") {
		t.Fatalf("there is no record in %q", kept)
	}
	for _, secret := range []string{"page itself", "verysecret", "session", "tokenoftheuser", "xx-language", "origin.example", "of/the/user", "and=query"} {
		if strings.Contains(kept, secret) {
			t.Errorf("%q is in %q", secret, kept)
		}
	}
}
