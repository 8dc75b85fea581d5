package integration

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var onceRequests = flag.Int("encode-once-requests", 5000, "how many requests TestEncodeOnceUnderLoad sends")

// changing is an upstream of pages that change. Each says which one it is, and how often it has changed.
type changing struct {
	versions [120]atomic.Int64
	pages    sync.Map // made once, by what they say
}

func (u *changing) page(n int, version int64) string {
	line := fmt.Sprintf("<p>Page %d as of change %d.</p>\n", n, version)
	if made, ok := u.pages.Load(line); ok {
		return made.(string)
	}
	random := rand.New(rand.NewPCG(uint64(n), uint64(version)))
	var noise strings.Builder
	for range 100 + n*3 { // so that it is of several KiB when it is compressed
		_, _ = fmt.Fprintf(&noise, "%08x ", random.Uint32())
	}
	u.pages.Store(line, line+noise.String()+line)
	return line + noise.String() + line
}

func (u *changing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Path[1:])
	version := u.versions[n].Load()
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("X-Version", strconv.FormatInt(version, 10))
	_, _ = io.WriteString(w, u.page(n, version))
}

// onceLoad are many clients of pages that change.
type onceLoad struct {
	*changing
	c           *client
	left, coded atomic.Int64 // requests
	cut         atomic.Int64 // those that a reload has cut off: the grace period is short
	said        [120]sync.Map
}

// TestEncodeOnceUnderLoad: while pages change, what is kept gives way, and the configuration is loaded anew with other
// formats, levels and rooms, everybody gets the page that the upstream has just sent. 100,000 requests take
// -encode-once-requests 100000.
func TestEncodeOnceUnderLoad(t *testing.T) {
	load := &onceLoad{changing: new(changing)}
	upstream := httptest.NewServer(load.changing)
	t.Cleanup(upstream.Close)
	port := freePort(t)
	config := func(n int) string {
		formats := []string{"zstd gzip", "gzip", "gzip zstd", "zstd"}[n%4]
		outside := []string{"", "encode gzip zstd"}[n/4%2]
		return fmt.Sprintf("http://localhost:%d {\n %s\n conditional_cache {\n etag %s\n server_timing\n encode_once %s {\n max_bytes %dKiB\n }\n }\n reverse_proxy %s\n}",
			port, outside, []string{"auto", "strong"}[n%2], formats, []int{64, 256, 1024}[n%3], upstream.Listener.Addr())
	}
	runCaddy(t, config(0))
	load.c = plainClient(t, port)
	load.left.Store(int64(*onceRequests))
	var clients sync.WaitGroup
	for worker := range 8 {
		clients.Go(func() { load.visit(t, uint64(worker)) })
	}
	began, reloads := time.Now(), 0
	step := max(int64(*onceRequests)/40, 1)
	for next := int64(*onceRequests) - step; load.left.Load() > 0 && !t.Failed(); time.Sleep(time.Millisecond) {
		if load.left.Load() < next {
			next -= step
			reloads++
			reload(t, config(reloads))
		}
	}
	clients.Wait()
	t.Logf("%d requests, of which %d were coded, and %d reloads, which cut off %d, in %s", *onceRequests, load.coded.Load(), reloads, load.cut.Load(), time.Since(began).Round(time.Millisecond))
	if load.coded.Load() < int64(*onceRequests)/10 || reloads < 10 {
		t.Errorf("it was not tried: %d were coded, with %d reloads", load.coded.Load(), reloads)
	}
}

// visit asks for pages at random, some of them often, until nothing is left to ask.
func (l *onceLoad) visit(t *testing.T, worker uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(worker, 7))
	accepts := []string{"gzip", "zstd", "zstd, gzip;q=0.5", "gzip, zstd;q=0.1", "identity"}
	for l.left.Add(-1) >= 0 && !t.Failed() {
		n := int(float64(len(l.versions)) * random.Float64() * random.Float64() * random.Float64())
		if random.IntN(300) == 0 {
			l.versions[n].Add(1)
		}
		fields := []string{"Accept-Encoding", accepts[random.IntN(len(accepts))]}
		tag, named := l.said[n].Load("tag")
		if named = named && random.IntN(5) == 0; named {
			fields = append(fields, "If-None-Match", tag.(string))
		}
		got, err := l.c.write(t.Context(), http.MethodGet, fmt.Sprint("/", n), "", fields...)
		if err != nil {
			if l.left.Add(1); l.cut.Add(1) > 100 {
				t.Errorf("page %d: %v", n, err)
			}
			continue
		}
		l.judge(t, n, fields, got)
	}
}

// judge wants the answer to be the page that the upstream has sent with it, and no tag to be of two of them.
func (l *onceLoad) judge(t *testing.T, n int, fields []string, got answer) {
	t.Helper()
	if codedWhy(got) == "coded" {
		l.coded.Add(1)
	}
	version, err := strconv.ParseInt(got.header.Get("X-Version"), 10, 64)
	if err != nil {
		t.Errorf("page %d: got %v", n, got)
		return
	}
	tag := strings.TrimPrefix(withoutSuffix(got.header.Get("Etag")), "W/")
	if of, there := l.said[n].LoadOrStore(tag, version); there && of != version && tag != "" { // on a busy machine a page may be too late to be held
		t.Errorf("page %d: the tag %s is of the changes %d and %d", n, tag, of, version)
	}
	if got.status == http.StatusNotModified && len(fields) > 2 {
		return
	}
	if tag != "" {
		l.said[n].Store("tag", got.header.Get("Etag"))
	}
	text, err := got.content()
	if err != nil || got.status != http.StatusOK || text != l.page(n, version) {
		t.Errorf("page %d as of change %d: got %v, %v", n, version, got, err)
	}
}

// TestEncodeOnceStaysInItsRoom: however many pages come, and come again, what is kept stays within max_bytes.
func TestEncodeOnceStaysInItsRoom(t *testing.T) {
	u := new(changing)
	upstream := httptest.NewServer(u)
	t.Cleanup(upstream.Close)
	a := runAdmin(t, "", "http://localhost:%d {\n conditional_cache {\n encode_once gzip {\n max_bytes 64KiB\n }\n }\n reverse_proxy "+upstream.Listener.Addr().String()+"\n}")
	c := plainClient(t, a.port)
	c.acceptEncoding = "gzip"
	for change := range 3 {
		for n := range u.versions {
			u.versions[n].Store(int64(change))
			for range 2 {
				c.must(t, http.StatusOK, http.MethodGet, fmt.Sprint("/", n), "")
			}
			if now := a.kept(); n%10 == 0 && now.Bytes > now.MaxBytes*11/10 {
				t.Fatalf("after %d pages it keeps %+v", n, now)
			}
		}
	}
	if now := a.kept(); now.Evictions == 0 || now.Misses < 300 || now.Bytes < now.MaxBytes/4 {
		t.Errorf("it was not tried: %+v", now)
	}
}
