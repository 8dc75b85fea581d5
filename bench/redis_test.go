package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// BenchmarkRedisKilled compares, after a kill -9 of the Redis server, the latency of conditional requests to a site that
// remembers there with that of the same site without memory: eight clients each, at the same time. The metrics
// are medians, of the first second and of all.
//
//	go test -run '^$' -bench RedisKilled -benchtime 1x ./bench
func BenchmarkRedisKilled(b *testing.B) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		b.Skip("redis-server is not installed")
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("page ", 1000))
	}))
	defer upstream.Close()
	redisPort, bare, remembering := port(b), port(b), port(b)
	redis := exec.Command("redis-server", "--port", fmt.Sprint(redisPort), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", b.TempDir())
	if err := redis.Start(); err != nil {
		b.Fatal(err)
	}
	killed := sync.OnceFunc(func() {
		_ = redis.Process.Kill()
		_ = redis.Wait()
	})
	defer killed()
	runServer(b, map[string]any{
		"bare": siteOn(bare, map[string]any{"handler": "conditional_cache"}, rig.ProxyTo(upstream.Listener.Addr().String())),
		"remembering": siteOn(remembering, map[string]any{"handler": "conditional_cache", "remember": map[string]any{
			"ttl": "1h", "store": map[string]any{"name": "redis", "address": []string{fmt.Sprintf("127.0.0.1:%d", redisPort)}},
		}}, rig.ProxyTo(upstream.Listener.Addr().String())),
	})
	for b.Loop() {
		measureKilled(b, bare, remembering, killed)
	}
}

func measureKilled(b *testing.B, bare, remembering int, kill func()) {
	b.Helper()
	const lasts, clients = 3 * time.Second, 8
	var mu sync.Mutex
	times := map[int][]float64{}
	early := map[int][]float64{}
	etag := awaitTag(b, remembering)
	awaitTag(b, bare)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range 2 * clients {
		to := bare
		if i%2 == 1 {
			to = remembering
		}
		wg.Go(func() {
			c := newCaller(b, to, etag)
			for time.Since(start) < lasts {
				before := time.Now()
				c.batch(b, 1)
				took := time.Since(before).Seconds() * 1e6
				mu.Lock()
				times[to] = append(times[to], took)
				if time.Since(start) < time.Second {
					early[to] = append(early[to], took)
				}
				mu.Unlock()
			}
		})
	}
	kill()
	wg.Wait()
	b.ReportMetric(rig.Median(times[remembering])/rig.Median(times[bare]), "ratio")
	b.ReportMetric(rig.Median(early[remembering])/rig.Median(early[bare]), "ratio-first-second")
	b.ReportMetric(rig.Median(times[remembering]), "us/killed")
	b.ReportMetric(rig.Median(times[bare]), "us/without")
}

// awaitTag waits for a site to answer, and returns its page's tag.
func awaitTag(b *testing.B, port int) string {
	b.Helper()
	for range 200 {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/page", port))
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if tag := resp.Header.Get("Etag"); tag != "" {
				return strings.TrimPrefix(tag, "W/")
			}
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // another process, that has only just been started
	}
	b.Fatal("no answer")
	return ""
}
