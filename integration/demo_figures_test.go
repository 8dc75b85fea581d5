package integration

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/bench/chart"
)

// updatePicture writes README.md's picture anew: go test ./integration -run TestPictureOfAReload -update-picture
var updatePicture = flag.Bool("update-picture", false, "write docs/images/before-after.svg anew")

// applicationPages are the demonstration's resources that its upstream makes, under /app/ and /remembered/; applicationFiles those
// under /files/.
var (
	applicationPages = []string{"slow", "chunked", "data.json", "form", "nonce", "clock", "account"}
	applicationFiles = []string{"/files/picture.png", "/files/table.csv", "/files/tune.wav"}
)

// visitCost is what it takes to load all resources once.
type visitCost struct{ bytes, asked float64 }

// demoVisitor has what it was sent, and asks with that.
type demoVisitor struct {
	base string
	tags map[string]string
}

// visit loads all resources: pages below a prefix, and the other ones.
func (v *demoVisitor) visit(t *testing.T, prefix string) (took visitCost) {
	t.Helper()
	paths := append([]string{"/rendered.html", "/assets/site.css"}, applicationFiles...)
	for _, page := range applicationPages {
		paths = append(paths, prefix+page)
	}
	before := v.asked(t)
	for _, path := range paths {
		body, header := v.get(t, path, v.tags[path])
		took.bytes += float64(len(body))
		if tag := header.Get("Etag"); v.tags != nil && tag != "" {
			v.tags[path] = tag
		}
	}
	took.asked = v.asked(t) - before
	return took
}

func (v *demoVisitor) get(t *testing.T, path, tag string) (body []byte, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.base+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	response, err := exampleClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil || response.StatusCode >= 400 {
		t.Fatalf("%s: status %d, %v", path, response.StatusCode, err)
	}
	return body, response.Header
}

// asked is how often the application was, by its own count.
func (v *demoVisitor) asked(t *testing.T) (sum float64) {
	t.Helper()
	body, _ := v.get(t, "/upstream/counts", "")
	var counts map[string]float64
	if err := json.Unmarshal(body, &counts); err != nil {
		t.Fatal(err)
	}
	for _, count := range counts {
		sum += count
	}
	return sum
}

// TestPictureOfAReload: README.md's picture shows what a second visit to the demonstration takes: without tags, with them, and with
// what is remembered.
func TestPictureOfAReload(t *testing.T) {
	const picture = "docs/images/before-after.svg"
	base := "http://localhost" + runExample(t).Replace(":8080")
	without := (&demoVisitor{base: base}).visit(t, "/app/")
	again := func(prefix string) visitCost {
		v := &demoVisitor{base: base, tags: make(map[string]string)}
		v.visit(t, prefix)
		return v.visit(t, prefix)
	}
	with, remembering := again("/app/"), again("/remembered/")
	if with.bytes > without.bytes/2 || remembering.asked >= with.asked || without.asked != with.asked {
		t.Errorf("without %v, with %v, with remember %v", without, with, remembering)
	}
	bars := func(title, unit string, of func(visitCost) float64) chart.Bars {
		return chart.Bars{Title: title, Unit: unit, Bars: []chart.Bar{
			{Label: "without", Value: of(without)},
			{Label: "conditional_cache", Value: of(with), Ours: true},
			{Label: "conditional_cache, remember", Value: of(remembering), Ours: true},
		}}
	}
	svg, err := chart.Stacked(
		bars("Twelve resources, loaded again", "KiB sent", func(r visitCost) float64 { return r.bytes / 1024 }),
		bars("The same, for the application", "times it was asked", func(r visitCost) float64 { return r.asked }))
	if err != nil {
		t.Fatal(err)
	}
	if *updatePicture {
		if err := os.WriteFile(picture, svg, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if strings.TrimSpace(readDoc(t, picture)) != strings.TrimSpace(string(svg)) {
		t.Errorf("%s shows something else than\n%s", picture, svg)
	}
}
