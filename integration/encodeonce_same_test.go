package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// onceTrio are three sites in one Caddy with the same pages: what encode_once does is seen beside encode, which it must not
// be told from, and alone. The two have rooms of their own, so that neither knows what the other has seen.
const onceTrio = `
(pages) {
	root {dir}
	handle /rendered {
		templates {
			mime text/html application/octet-stream
		}
		header Content-Type text/html
		file_server
	}
	handle /files/* {
		file_server
	}
	handle /precompressed/* {
		file_server {
			precompressed gzip
		}
	}
	handle {
		reverse_proxy {upstream}
	}
}
https://localhost:{encode} {
	tls internal
	encode zstd gzip
	conditional_cache {
		{options}
		buffer {
			max_delay 5s # however busy the machine is
		}
	}
	import pages
}
https://localhost:{once} {
	tls internal
	encode zstd gzip
	conditional_cache {
		{options}
		buffer {
			max_delay 5s # however busy the machine is
		}
		encode_once zstd gzip {
			max_bytes 1MiB
		}
	}
	import pages
}
https://localhost:{alone} {
	tls internal
	conditional_cache {
		{options}
		buffer {
			max_delay 5s # however busy the machine is
		}
		encode_once zstd gzip {
			max_bytes 1025KiB
		}
	}
	import pages
}
`

// trio are clients of the three sites that speak one version of HTTP.
type trio struct {
	protocol            string
	encode, once, alone *client
}

// runTrio runs the three sites, and returns the clients for every version of HTTP.
func runTrio(t *testing.T, options string) (trios []trio) {
	t.Helper()
	upstream := httptest.NewServer(onceUpstream())
	t.Cleanup(upstream.Close)
	var ports [3]int
	for i := range ports {
		ports[i] = freePort(t)
	}
	runCaddy(t, strings.NewReplacer("{dir}", onceFolder(t), "{upstream}", upstream.Listener.Addr().String(), "{options}", options,
		"{encode}", strconv.Itoa(ports[0]), "{once}", strconv.Itoa(ports[1]), "{alone}", strconv.Itoa(ports[2])).Replace(onceTrio))
	encode, once, alone := protocolClients(t, ports[0]), protocolClients(t, ports[1]), protocolClients(t, ports[2])
	for i := range encode {
		trios = append(trios, trio{encode[i].protocol, encode[i], once[i], alone[i]})
	}
	return trios
}

// TestEncodeOnceIsAsEncode: whatever is asked for, and however often, a client cannot tell a site with encode_once from one
// that compresses each page anew; but for the first time of a page without encode, which goes out as it is.
func TestEncodeOnceIsAsEncode(t *testing.T) {
	for _, mode := range []string{"auto", "strong", "weak"} {
		t.Run(mode, func(t *testing.T) {
			trios := runTrio(t, "etag "+mode)
			if mode == "weak" {
				trios = trios[:1]
			}
			for _, sites := range trios {
				for _, row := range onceRows {
					for _, accept := range acceptsOf(row, sites.protocol) {
						t.Run(sites.protocol+row.path+" "+accept, func(t *testing.T) {
							path := strings.NewReplacer(" ", "", ";", ".").Replace(row.path + "?of=" + sites.protocol + accept)
							(&visits{trio: sites, row: row, accept: accept, path: path}).run(t)
						})
					}
				}
			}
		})
	}
}

// acceptsOf are the Accept-Encoding that a row is asked for with.
func acceptsOf(row onceRow, protocol string) []string {
	accepts := []string{"gzip"}
	if row.coded {
		accepts = append(accepts, "gzip;q=0.4, zstd;q=0.5")
	}
	if row.path == "/page" || row.path == "/tagged" {
		accepts = append(accepts, "identity")
		if protocol == "HTTP/1.1" {
			accepts = append(accepts, "", "br", "*", "gzip;q=0", "zstd, gzip", "zstd;q=0.4, gzip;q=0.5")
		}
	}
	return accepts
}

// visits are those to one page by one client.
type visits struct {
	trio
	row    onceRow
	accept string
	path   string
	tags   []string // all that there were
}

func (v *visits) run(t *testing.T) {
	t.Helper()
	var kept answer // the second time
	for time := 1; time <= 3; time++ {
		encode, once, alone := v.ask(t, v.encode, http.MethodGet), v.ask(t, v.once, http.MethodGet), v.ask(t, v.alone, http.MethodGet)
		when := fmt.Sprintf("time %d", time)
		wantSameAnswer(t, when, once, encode)
		v.wantAlone(t, time, alone, encode)
		for _, got := range []answer{encode, once, alone} {
			if tag := got.header.Get("Etag"); tag != "" && !slices.Contains(v.tags, tag) {
				v.tags = append(v.tags, tag)
			}
		}
		switch coded := v.codes(); {
		case coded && time == 2:
			kept = once
		case coded && time == 3 && once.body != kept.body:
			t.Errorf("the octets are other ones the third time: it was compressed anew")
		}
		if length := once.header.Get("Content-Length"); v.codes() && time > 1 && length != strconv.Itoa(len(once.body)) {
			t.Errorf("%s: Content-Length: %s, with %d bytes", when, length, len(once.body))
		}
	}
	v.askByTags(t)
}

// codes reports whether encode_once has something to do with these visits.
func (v *visits) codes() bool {
	return v.row.coded && (strings.Contains(v.accept, "zstd") || strings.Contains(v.accept, "gzip") && v.accept != "gzip;q=0" || v.accept == "*")
}

// wantAlone: without encode only what encode_once does is compressed, and that is as encode has it.
func (v *visits) wantAlone(t *testing.T, time int, alone, encode answer) {
	t.Helper()
	if v.codes() && time > 1 {
		wantSameAnswer(t, fmt.Sprintf("without encode, time %d", time), alone, encode)
		return
	}
	if coding := alone.header.Get("Content-Encoding"); coding != "" && v.row.path != "/compressed" && v.row.path != "/precompressed/page.html" {
		t.Errorf("without encode, time %d: it is compressed with %s", time, coding)
	}
	wantSameContent(t, "without encode", alone, encode)
	if v.codes() && alone.header["Accept-Ranges"] != nil && strings.HasPrefix(alone.header.Get("Etag"), "W/") {
		t.Errorf("without encode, time %d: parts of a page with a weak tag", time)
	}
	if v.row.coded && !strings.EqualFold(strings.Join(alone.header["Vary"], ","), strings.Join(encode.header["Vary"], ",")) {
		t.Errorf("without encode, time %d: Vary %q, want %q", time, alone.header["Vary"], encode.header["Vary"])
	}
}

// ask sends a request, whose body stays as it came.
func (v *visits) ask(t *testing.T, c *client, method string, fields ...string) answer {
	t.Helper()
	if v.accept != "" {
		fields = append(fields, "Accept-Encoding", v.accept)
	}
	got, err := c.write(t.Context(), method, v.path, "", fields...)
	if err != nil {
		t.Fatalf("%s %s %v: %v", method, v.path, fields, err)
	}
	return got
}

// askByTags asks by each tag that any of the sites has ever sent, and for parts.
func (v *visits) askByTags(t *testing.T) {
	t.Helper()
	requests := [][]string{{"Range", "bytes=10-99"}, {"If-Match", `"another"`}, {"If-None-Match", `"another"`}, {"If-None-Match", "*"}, {"If-Modified-Since", longDate.Format(http.TimeFormat)}}
	for _, tag := range v.tags {
		requests = append(requests, []string{"If-None-Match", tag}, []string{"If-None-Match", "W/" + strings.TrimPrefix(tag, "W/")},
			[]string{"Range", "bytes=10-99", "If-Range", tag}, []string{"If-Match", tag})
	}
	for _, fields := range requests {
		if fields[0] == "If-Match" && strings.HasPrefix(v.path, "/precompressed") {
			continue // Caddy v2.11.9 sends a 412 there with the length of the file
		}
		encode, once := v.ask(t, v.encode, http.MethodGet, fields...), v.ask(t, v.once, http.MethodGet, fields...)
		wantSameAnswer(t, fmt.Sprint(fields), once, encode)
		if !v.codes() {
			continue
		}
		alone := v.ask(t, v.alone, http.MethodGet, fields...)
		v.wantConfirmed(t, fields, once, alone)
		if v.row.path != "/confirming" || alone.status != http.StatusNotModified {
			wantSameAnswer(t, fmt.Sprint(fields, " without encode"), alone, encode)
		}
	}
	wantSameAnswer(t, "HEAD", v.ask(t, v.once, http.MethodHead), v.ask(t, v.encode, http.MethodHead))
}

// wantConfirmed: a 304 has the tag of the 200; without encode it is the very tag that the client has named. The upstream's
// own 304 has no coding to speak of.
func (v *visits) wantConfirmed(t *testing.T, fields []string, once, alone answer) {
	t.Helper()
	if len(fields) != 2 || fields[0] != "If-None-Match" || !slices.Contains(v.tags, fields[1]) || v.row.path == "/confirming" {
		return
	}
	if got, want := once.header.Get("Etag"), v.tags[0]; once.status != http.StatusNotModified || got != want {
		t.Errorf("%v: %d with the tag %s, want 304 with %s", fields, once.status, got, want)
	}
	if got := alone.header.Get("Etag"); alone.status != http.StatusNotModified || got != fields[1] {
		t.Errorf("%v without encode: %d with the tag %s, want 304 with this one", fields, alone.status, got)
	}
}

// wantSameAnswer compares what a client goes by. encode takes the suffix of a tag off a condition, and does not put it on
// the 304.
func wantSameAnswer(t *testing.T, what string, got, want answer) {
	t.Helper()
	wantSameContent(t, what, got, want)
	for _, name := range []string{"Etag", "Vary", "Content-Encoding"} {
		a, b := strings.Join(got.header[name], ", "), strings.Join(want.header[name], ", ")
		if name == "Etag" && got.status == http.StatusNotModified {
			a, b = withoutSuffix(a), withoutSuffix(b)
		}
		if what == "HEAD" && name == "Vary" && b == "" {
			continue // encode does not say it where it knows no length, though GET has it
		}
		if !strings.EqualFold(a, b) {
			t.Errorf("%s: %s is %q, want %q", what, name, a, b)
		}
	}
}

func wantSameContent(t *testing.T, what string, got, want answer) {
	t.Helper()
	a, err := got.content()
	b, errOfWant := want.content()
	if got.status != want.status || a != b || err != nil || errOfWant != nil {
		t.Errorf("%s: got %v, %v; want %v, %v", what, got, err, want, errOfWant)
	}
	for _, name := range []string{"Content-Type", "Content-Range", "Cache-Control", "Last-Modified", "Set-Cookie"} {
		if a, b := fmt.Sprint(got.header[name]), fmt.Sprint(want.header[name]); a != b {
			t.Errorf("%s: %s is %s, want %s", what, name, a, b)
		}
	}
}

// content is the decoded content of an answer whose body is as it came. Of parts, it is that.
func (a answer) content() (string, error) {
	if a.body == "" || a.status == http.StatusPartialContent {
		return a.body, nil
	}
	return decodedBody(a.header.Get("Content-Encoding"), a.body)
}

func withoutSuffix(tag string) string {
	for _, suffix := range []string{`-gzip"`, `-zstd"`} {
		if cut, ok := strings.CutSuffix(tag, suffix); ok {
			return cut + `"`
		}
	}
	return tag
}
