package coding

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	caddygzip "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"
	caddyzstd "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/zstd"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func gzipped() *Format {
	return &Format{Name: "gzip", NewEncoder: caddygzip.Gzip{Level: 5}.NewEncoder}
}

func zstandard() *Format { return &Format{Name: "zstd", NewEncoder: caddyzstd.Zstd{}.NewEncoder} }

// page is a content of its own for each number.
func page(n int) []byte {
	return []byte(fmt.Sprintf("<p>%d</p>", n) + strings.Repeat("the same for all of them\n", 40))
}

func decoded(t *testing.T, format string, body []byte) []byte {
	t.Helper()
	var from io.Reader
	var err error
	if from, err = gzip.NewReader(bytes.NewReader(body)); format == "zstd" {
		from, err = zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestGet: a content that comes again is coded once for each format, and what is there is the same to the octet.
func TestGet(t *testing.T) {
	k := New(1 << 20)
	steps := []struct {
		page   int
		format *Format
		want   Reason
		hits   uint64
		misses uint64
	}{
		{1, gzipped(), FirstSight, 0, 0},
		{2, gzipped(), FirstSight, 0, 0},
		{1, gzipped(), Coded, 0, 1},
		{1, gzipped(), Coded, 1, 1},
		{1, zstandard(), Coded, 1, 2}, // the content is known, in whatever format it came first
		{1, zstandard(), Coded, 2, 2},
		{2, zstandard(), Coded, 2, 3},
		{3, zstandard(), FirstSight, 2, 3},
	}
	for i, s := range steps {
		body, why, err := k.Get("a", s.format, page(s.page))
		if why != s.want || err != nil || (body != nil) != (s.want == Coded) {
			t.Fatalf("step %d: %d bytes, %s, %v", i, len(body), why, err)
		}
		if body != nil && !bytes.Equal(decoded(t, s.format.Name, body), page(s.page)) {
			t.Errorf("step %d: another content", i)
		}
		if now := k.Stats(); now.Hits != s.hits || now.Misses != s.misses {
			t.Errorf("step %d: %+v", i, now)
		}
	}
	now := k.Stats()
	if now.BytesIn != uint64(2*len(page(1))) || now.SavedSeconds <= 0 || now.Entries != 3 || now.Bytes <= 3*overhead {
		t.Errorf("%+v", now)
	}
	if k.Purge(); k.Stats().Entries != 0 || k.Stats().Bytes != 0 {
		t.Errorf("after a purge there is %+v", k.Stats())
	}
	if _, why, _ := k.Get("a", gzipped(), page(1)); why != FirstSight {
		t.Errorf("after a purge: %s", why)
	}
}

// TestSites: a site learns nothing of what another one has sent.
func TestSites(t *testing.T) {
	k := New(1 << 20)
	for i, want := range []Reason{FirstSight, Coded, Coded} {
		for _, site := range []string{"a", "b"} {
			if _, why, _ := k.Get(site, gzipped(), page(1)); why != want {
				t.Errorf("%s, request %d: %s, want %s", site, i, why, want)
			}
		}
	}
	if now := k.Stats(); now.Misses != 2 || now.Entries != 2 {
		t.Errorf("%+v", now)
	}
}

// TestPurgeMeanwhile: what is coded while all is purged is not kept.
func TestPurgeMeanwhile(t *testing.T) {
	k := New(1 << 20)
	k.Get("a", gzipped(), page(1)) //nolint:errcheck // noted
	until := make(chan struct{})
	go func() {
		for len(k.slots) == 0 {
			runtime.Gosched()
		}
		k.Purge()
		close(until)
	}()
	if _, why, _ := k.Get("a", slowly(slow{until: until}), page(1)); why != Coded || k.Stats().Entries != 0 {
		t.Errorf("%s, %+v", why, k.Stats())
	}
}

// strangers asks for pages that change at random, and counts answers that are another page.
func strangers(t *testing.T, k *Kept, requests int) (wrong int) {
	t.Helper()
	formats := []*Format{gzipped(), zstandard()}
	var mu sync.Mutex
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range requests / 4 {
				n, format := random.IntN(300), formats[random.IntN(2)]
				if body, why, _ := k.Get("a", format, page(n)); why == Coded && !bytes.Equal(decoded(t, format.Name, body), page(n)) {
					mu.Lock()
					wrong++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return wrong
}

// TestNobodyGetsAnothersContent: with many contents, few of which fit, nobody gets another one. With a digest that is made too
// short on purpose, this test finds that somebody does.
func TestNobodyGetsAnothersContent(t *testing.T) {
	k := New(leastRoom)
	if wrong := strangers(t, k, 4000); wrong > 0 {
		t.Errorf("%d answers were of another content", wrong)
	}
	if now := k.Stats(); now.Hits == 0 || now.Evictions == 0 || now.Bytes > now.MaxBytes {
		t.Errorf("it was not tried: %+v", now)
	}
	weak := New(leastRoom)
	whole := weak.digest
	weak.digest = func(body []byte) (d digest) { d[0] = whole(body)[0]; return d }
	if strangers(t, weak, 2000) == 0 {
		t.Error("256 digests for 300 contents, and nothing was found")
	}
}

// leastRoom is for some fifty pages.
const leastRoom = 20 << 10

// TestDigest: it tells contents apart that differ in one bit or in their length, and another process's is another one.
func TestDigest(t *testing.T) {
	var key [32]byte
	for name, of := range map[string]func([]byte) digest{"GHASH": newDigester(), "HMAC": keyedSHA256(key)} {
		seen := make(map[digest]string)
		content := make([]byte, 100)
		for i := range 801 {
			if i > 0 {
				content = make([]byte, 100)
				content[(i-1)/8] = 1 << ((i - 1) % 8)
			}
			seen[of(content)] = "bits"
		}
		for n := range 100 {
			seen[of(make([]byte, n))] = "length"
		}
		if first, again := of(page(1)), of(page(1)); len(seen) != 901 || first != again {
			t.Errorf("%s: %d digests of 901 contents", name, len(seen))
		}
	}
	if one, other := newDigester(), newDigester(); one(page(1)) == other(page(1)) {
		t.Error("two processes have the same key")
	}
}

// TestBounds: what is kept stays within max_bytes, in this count as in the heap, and one-off contents take no room at all.
func TestBounds(t *testing.T) {
	const room = 4 << 20
	heap := func() uint64 {
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		return now.HeapAlloc
	}
	before := heap()
	k := New(room)
	for n := range 20_000 {
		k.seen.before(0, k.digest(page(n)))
	}
	if now := k.Stats(); now.Entries != 0 {
		t.Errorf("of contents that came once: %+v", now)
	}
	noise := func(n int) []byte {
		content := make([]byte, 20<<10)
		rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(content) //nolint:errcheck // it does not fail
		return content
	}
	for n := range 600 { // three times as much as fits
		for range 2 {
			k.Get("a", gzipped(), noise(n)) //nolint:errcheck // the counters tell
		}
	}
	now := k.Stats()
	if now.Evictions == 0 || now.Bytes > room || now.Bytes < room/2 || now.Misses != 600 {
		t.Errorf("%+v", now)
	}
	if grown := int64(heap() - before); grown > room*11/10+int64(8*len(k.seen.marks))+1<<20 {
		t.Errorf("the heap has grown by %d, with room for %d", grown, room)
	}
	runtime.KeepAlive(k)
}

// slow is an encoder that waits before it ends, and may fail or panic.
type slow struct {
	encode.Encoder
	until <-chan struct{}
	fails error
	bomb  any
}

func (s slow) Close() error {
	if s.until != nil {
		<-s.until
	}
	if s.bomb != nil {
		panic(s.bomb)
	}
	if s.fails != nil {
		return s.fails
	}
	return s.Encoder.Close()
}

func slowly(s slow) *Format {
	return &Format{Name: "gzip", NewEncoder: func() encode.Encoder {
		s.Encoder = gzipped().NewEncoder()
		return s
	}}
}

// TestOneAtATime: while a content is being coded, who asks for it waits as long as that takes, and then has it; or goes the
// old way. Nobody waits for a processor.
func TestOneAtATime(t *testing.T) {
	k := New(1 << 20)
	for n := range 3 {
		k.Get("a", gzipped(), page(n)) //nolint:errcheck // noted
	}
	k.slots = make(chan struct{}, 1)
	until := make(chan struct{})
	first := make(chan Reason)
	go func() {
		_, why, _ := k.Get("a", slowly(slow{until: until}), page(1))
		first <- why
	}()
	for len(k.slots) == 0 {
		runtime.Gosched()
	}
	if _, why, _ := k.Get("a", gzipped(), page(2)); why != Busy {
		t.Errorf("another content, with all processors taken: %s", why)
	}
	if _, why, _ := k.Get("a", gzipped(), page(1)); why != Busy {
		t.Errorf("the same content, past its time: %s", why)
	}
	k.speedOf("gzip").Store(int64(time.Hour))
	second := make(chan Reason)
	go func() {
		body, why, _ := k.Get("a", gzipped(), page(1))
		if body != nil && !bytes.Equal(decoded(t, "gzip", body), page(1)) {
			why = "another content"
		}
		second <- why
	}()
	close(until)
	a, b := <-first, <-second
	if now := k.Stats(); a != Coded || b != Coded || now.Misses != 1 || now.Hits != 1 || now.BytesIn != uint64(len(page(1))) || now.SavedSeconds <= 0 {
		t.Errorf("%s, %s, %+v", a, b, now)
	}
	if len(k.slots) != 0 || len(k.flights) != 0 {
		t.Error("something is left behind")
	}
}

// TestEncoderFails: an error or a panic of an encoder costs nobody his page, and is logged once a minute.
func TestEncoderFails(t *testing.T) {
	for name, bad := range map[string]slow{"error": {fails: errors.New("no")}, "panic": {bomb: "no"}} {
		core, logs := observer.New(zap.ErrorLevel)
		c := NewCoder(Options{Kept: New(1 << 20), Formats: []Format{*slowly(bad)}})
		c.Log = zap.New(core)
		for i, want := range []Reason{FirstSight, Failed, Failed} {
			if body, why := c.Get("a", slowly(bad), page(1)); body != nil || why != want {
				t.Errorf("%s, step %d: %s", name, i, why)
			}
		}
		if entries := logs.All(); len(entries) != 1 || entries[0].ContextMap()["format"] != "gzip" || !strings.Contains(entries[0].ContextMap()["error"].(string), "no") {
			t.Errorf("%s: %v", name, entries)
		}
		if now := c.options.Kept.Stats(); now.Failures != 2 || now.Entries != 0 || len(c.options.Kept.slots) != 0 {
			t.Errorf("%s: %+v", name, now)
		}
		if _, why := c.Get("a", gzipped(), page(1)); why != Coded {
			t.Errorf("%s: with a good encoder: %s", name, why)
		}
		if !c.mayLog(c.logged.Load() + int64(quiet) + 1) {
			t.Errorf("%s: never again", name)
		}
	}
}

// TestShare: what has the same settings is one, also over a reload, and what was counted stays counted.
func TestShare(t *testing.T) {
	before := All()
	a, releaseA := Share("share", 1<<20)
	b, releaseB := Share("share", 1<<20)
	c, releaseC := Share("share", 2<<20)
	if a != b || a == c {
		t.Error("they are not shared by their settings")
	}
	a.Get("a", gzipped(), page(1)) //nolint:errcheck // noted
	a.Get("a", gzipped(), page(1)) //nolint:errcheck // coded
	releaseA()
	if _, why, _ := b.Get("a", gzipped(), page(1)); why != Coded || All().MaxBytes != before.MaxBytes+3<<20 || All().Entries != before.Entries+1 {
		t.Errorf("%s, %+v", why, All())
	}
	if !PurgeAll() || All().Entries != 0 {
		t.Errorf("after a purge: %+v", All())
	}
	releaseB()
	releaseC()
	if now := All(); now.MaxBytes != before.MaxBytes || now.Hits != before.Hits+1 || now.Misses != before.Misses+1 {
		t.Errorf("afterwards: %+v, before %+v", now, before)
	}
	if before.MaxBytes == 0 && PurgeAll() {
		t.Error("there is nothing to purge")
	}
}

// encoding is Caddy's own, with the same settings.
func encoding(t *testing.T, prefer ...string) *encode.Encode {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	e := &encode.Encode{EncodingsRaw: caddy.ModuleMap{"gzip": []byte(`{}`), "zstd": []byte(`{}`)}, Prefer: prefer}
	if err := e.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestAsEncode: for whatever is answered and accepted, a Coder chooses as Caddy's encode does.
func TestAsEncode(t *testing.T) {
	accepts := [][]string{
		nil,
		{""},
		{"gzip"},
		{"zstd"},
		{"br"},
		{"identity"},
		{"*"},
		{"gzip, zstd"},
		{"zstd, gzip"},
		{"gzip;q=0.5, zstd;q=0.4"},
		{"gzip;q=0"},
		{"GZIP"},
		{"gzip;q=nonsense"},
		{"gzip", "zstd;q=0.9"},
		{"zstd;q=0, *"},
		{"gzip;x=1;q=0"},
		{"deflate, gzip;q=1.0, *;q=0.5"},
	}
	heads := []http.Header{
		{"Content-Type": {"text/html"}},
		{"Content-Type": {"image/png"}},
		{"Content-Type": {"application/json; charset=utf-8"}},
		{"Content-Type": {"TEXT/CSS"}},
		{"Content-Type": {"text/html"}, "Content-Encoding": {"br"}},
		{"Content-Type": {"text/html"}, "Content-Encoding": {""}},
		{"Content-Type": {"text/html"}, "Cache-Control": {"no-transform"}},
		{"Content-Type": {"text/html"}, "Cache-Control": {"public, No-Transform"}},
		{"Content-Type": {"text/html"}, "Cache-Control": {"no-transformers"}},
		{"Content-Type": {"image/svg+xml"}},
		{"Content-Type": {"font/woff2"}},
	}
	for _, prefer := range [][]string{{"zstd", "gzip"}, {"gzip", "zstd"}, {"gzip"}} {
		theirs := encoding(t, prefer...)
		formats := []Format{*gzipped(), *zstandard()}
		if prefer[0] == "zstd" {
			formats = []Format{*zstandard(), *gzipped()}
		}
		ours := NewCoder(Options{Formats: formats, MinLength: theirs.MinLength, Matcher: theirs.Matcher, Kept: New(1 << 20)})
		for _, accept := range accepts {
			for _, head := range heads {
				for _, size := range []int{0, 511, 512, 513, 5000} {
					compare(t, theirs, ours, accept, head, size)
				}
			}
		}
	}
}

func compare(t *testing.T, theirs *encode.Encode, ours *Coder, accept []string, head http.Header, size int) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	if accept != nil {
		r.Header["Accept-Encoding"] = accept
	}
	rec := httptest.NewRecorder()
	err := theirs.ServeHTTP(rec, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		maps.Copy(w.Header(), head)
		_, err := w.Write(bytes.Repeat([]byte("a"), size))
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := rec.Header().Get("Content-Encoding")
	if head.Get("Content-Encoding") != "" {
		want = ""
	}
	varies := rec.Header().Get("Vary") != ""
	bars, got := ours.Bars(http.StatusOK, head, size), ""
	if f := ours.Negotiate(r); f != nil && bars == "" {
		got = f.Name
	}
	if got != want || varies != (bars == "") {
		t.Errorf("%q, %v, %d bytes: %q (barred: %q), and encode has %q, Vary %t", accept, head, size, got, bars, want, varies)
	}
}

// TestBars: each reason has a response that it is the reason of.
func TestBars(t *testing.T) {
	c := NewCoder(Options{MinLength: 10, Matcher: encoding(t).Matcher, Kept: New(4000)})
	html := http.Header{"Content-Type": {"text/html"}}
	for want, got := range map[Reason]Reason{
		"": c.Bars(200, html, 11), Short: c.Bars(200, html, 10), Large: c.Bars(200, html, 1001), Type: c.Bars(200, http.Header{"Content-Type": {"image/png"}}, 11),
		NoTransform: c.Bars(200, http.Header{"Content-Type": {"text/html"}, "Cache-Control": {"no-transform"}}, 11),
		Already:     c.Bars(200, http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {"x"}}, 11),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10} {
		content := bytes.Repeat([]byte("<p>the same for all of them, or nearly</p>\n"), size/43)
		b.Run(fmt.Sprintf("known/size=%dKiB", size>>10), func(b *testing.B) {
			k := New(1 << 20)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				k.Get("a", gzipped(), content) //nolint:errcheck // the counters tell
			}
		})
		b.Run(fmt.Sprintf("new/size=%dKiB", size>>10), func(b *testing.B) {
			k, n := New(1<<20), byte(0)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				content[int(n)%len(content)]++
				n++
				k.Get("a", gzipped(), content) //nolint:errcheck // the counters tell
			}
		})
	}
}
