package integration

import (
	"cmp"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	_ "github.com/conditionalcache/caddy-conditional-cache/cmd/caddy/demo"
	"github.com/conditionalcache/caddy-conditional-cache/internal/journal"
)

// demoRow is a resource as the page shows it.
type demoRow struct {
	Path          string
	First, Latest int // status; 0: the browser did not ask
	Bytes, Time   demoMeasure
	Asked         int // of the upstream, in the latest visit
	Why           string
}

// demoMeasure is what is drawn of one measure: numbers, and how much of its place each bar takes.
type demoMeasure struct {
	First, Latest float64
	Text          string
	Bars          []float64
}

// demoRows reads what is drawn; lengths of bars are those that the browser has worked out.
const demoRows = `[...document.querySelectorAll('#rows > li[data-path]')].map((row) => {
	const measure = (name) => {
		const cell = row.querySelector('[data-measure="' + name + '"]');
		const bars = [...cell.querySelectorAll('.bar')].map((bar) => parseFloat(getComputedStyle(bar).backgroundSize) / 100);
		return {First: +cell.dataset.first, Latest: +cell.dataset.latest, Text: cell.innerText, Bars: bars};
	};
	const why = row.querySelector('.why');
	return {Path: row.dataset.path, First: +row.dataset.first, Latest: +row.dataset.latest, Bytes: measure('bytes'), Time: measure('time'),
		Asked: +why.dataset.asked, Why: why.innerText};
})`

// demoWant is what the second visit gives, and why, if nothing has changed.
var demoWant = map[string]struct {
	status int
	why    string
}{
	"/rendered.html":     {304, "not_modified if_none_match"},
	"/app/slow":          {304, "not_modified if_none_match"},
	"/app/chunked":       {304, "not_modified if_none_match"},
	"/app/data.json":     {304, "not_modified if_none_match"},
	"/app/form":          {304, "not_modified if_none_match"},
	"/app/nonce":         {304, "not_modified if_none_match"},
	"/app/clock":         {200, "tagged none_matched"},
	"/app/account":       {200, "streamed no_store"},
	"/files/picture.png": {304, "not_modified if_none_match"},
	"/files/table.csv":   {304, "not_modified if_none_match"},
	"/files/tune.wav":    {206, "partial range"},
	"/assets/site.css":   {0, "still has it"},
}

// demoUpstream is how many of them have an upstream.
const demoUpstream = 10

// demoRendering is what the slow page takes to be made, in milliseconds.
const demoRendering = 150

// TestDemo opens the page of the example in Chromium and uses it. Each part goes on where the one before has ended.
func TestDemo(t *testing.T) {
	// On a machine with much else to do a page of many pieces may take longer than 200 ms.
	ports := runExampleWith(t, "\n\t\tserver_timing", "\n\t\tbuffer {\n\t\t\tmax_delay 1m\n\t\t}\n\t\tserver_timing")
	b := openDemo(t, ports.Replace("http://localhost:8080/"))
	t.Run("what is drawn is what came", b.testDrawn)
	t.Run("a change is a 200 for one alone", b.testChange)
	t.Run("remember spares the upstream, and a purge ends that", b.testRemember)
	t.Run("a reload gives 304", b.testReload)
	t.Run("all of it by keyboard", b.testKeyboard)
	t.Run("the tune seeks", b.testSeek)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) { b.testLook(t, scheme) })
	}
	t.Run("nothing in the console", b.clean)
	if *update {
		b.takePictures(t)
	}
}

func (b *demoBrowser) rows(t *testing.T) map[string]demoRow {
	t.Helper()
	rows := make(map[string]demoRow)
	for _, row := range evaluate[[]demoRow](t, b, demoRows) {
		rows[row.Path] = row
	}
	if len(rows) != len(demoWant) {
		t.Fatalf("%d rows are drawn, want %d", len(rows), len(demoWant))
	}
	return rows
}

// asked is how often the upstream was asked in a visit, from the latest one on, as it is drawn.
func (b *demoBrowser) asked(t *testing.T) []int {
	t.Helper()
	return evaluate[[]int](t, b, `[...document.querySelectorAll('#history > li')].map((visit) => +visit.dataset.asked).reverse()`)
}

func (b *demoBrowser) testDrawn(t *testing.T) {
	rows := b.rows(t)
	var bytes, times []float64
	for path, want := range demoWant {
		row, answers := rows[path], b.of(path)
		if row.First != 200 || row.Latest != want.status || !strings.Contains(row.Why, want.why) {
			t.Errorf("%s: drawn %d, then %d, %q; want 200, %d, %q", path, row.First, row.Latest, row.Why, want.status, want.why)
		}
		bytes, times = append(bytes, row.Bytes.First, row.Bytes.Latest), append(times, row.Time.First, row.Time.Latest)
		if row.Latest == 0 {
			answers = append(answers, demoAnswer{})
		}
		if len(answers) != 2 {
			t.Errorf("%s: %d requests on the network", path, len(answers))
			continue
		}
		row.checkNetwork(t, answers)
	}
	for path, row := range rows {
		row.Bytes.check(t, path, maximum(bytes))
		row.Time.check(t, path, maximum(times))
	}
	b.checkTiles(t, rows)
	if got := b.asked(t); len(got) != 2 || got[0] != demoUpstream || got[1] != demoUpstream {
		t.Errorf("the upstream is drawn as asked %d times, want %d in both visits", got, demoUpstream)
	}
}

// checkNetwork compares what is drawn with what went over the network. The frames of chunked bodies are none of their content.
func (row *demoRow) checkNetwork(t *testing.T, answers []demoAnswer) {
	t.Helper()
	for i, drawn := range []struct {
		status int
		bytes  float64
	}{{row.First, row.Bytes.First}, {row.Latest, row.Bytes.Latest}} {
		came := answers[i].whole - answers[i].head
		if drawn.status != answers[i].status || drawn.bytes > came || came > drawn.bytes*1.02+32 {
			t.Errorf("%s: drawn as %d with %v bytes, the network had %d with %v", row.Path, drawn.status, drawn.bytes, answers[i].status, came)
		}
	}
}

func maximum(values []float64) (most float64) {
	for _, value := range values {
		most = max(most, value)
	}
	return most
}

// check compares the bars with the numbers.
func (m *demoMeasure) check(t *testing.T, path string, most float64) {
	t.Helper()
	if len(m.Bars) != 2 || math.Abs(m.Bars[0]-m.First/most) > 0.001 || math.Abs(m.Bars[1]-m.Latest/most) > 0.001 {
		t.Errorf("%s: bars of %v for %v and %v, at most %v", path, m.Bars, m.First, m.Latest, most)
	}
}

// checkTiles compares the sums with what is drawn of each.
func (b *demoBrowser) checkTiles(t *testing.T, rows map[string]demoRow) {
	t.Helper()
	tiles := evaluate[map[string]demoMeasure](t, b, `Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => [tile.dataset.tile.split(' ')[0],
		{First: +tile.dataset.first, Latest: +tile.dataset.latest}]))`)
	want := map[string]demoMeasure{"whole": {First: 12, Latest: 2}, "upstream": {First: demoUpstream, Latest: demoUpstream}}
	var bytes, time demoMeasure
	for _, row := range rows {
		bytes.First, bytes.Latest = bytes.First+row.Bytes.First, bytes.Latest+row.Bytes.Latest
		time.First, time.Latest = time.First+row.Time.First, time.Latest+row.Time.Latest
	}
	want["bytes"], want["time,"] = bytes, time
	if len(tiles) != len(want) {
		t.Errorf("%d tiles, want %d", len(tiles), len(want))
	}
	for name, w := range want {
		if got := tiles[name]; math.Abs(got.First-w.First) > 0.01 || math.Abs(got.Latest-w.Latest) > 0.01 {
			t.Errorf("the tile %s has %v and %v, want %v and %v", name, got.First, got.Latest, w.First, w.Latest)
		}
	}
	if bytes.Latest > bytes.First/3 {
		t.Errorf("the second visit had %v bytes of %v", bytes.Latest, bytes.First)
	}
}

// wantVisit compares the latest visit with one in which nothing but these has changed.
func (b *demoBrowser) wantVisit(t *testing.T, changed ...string) {
	t.Helper()
	t.Helper()
	for path, row := range b.rows(t) {
		want := demoWant[path].status
		if slices.Contains(changed, path) {
			want = 200
		}
		if row.Latest != want {
			t.Errorf("%s: %d, want %d; %s", path, row.Latest, want, row.Why)
		}
	}
}

func (b *demoBrowser) testChange(t *testing.T) {
	for _, path := range []string{"/files/picture.png", "/app/slow", "/files/tune.wav"} {
		b.click(t, `li[data-path="`+path+`"] button`)
		b.wantVisit(t, path)
		b.click(t, "#again")
		b.wantVisit(t)
	}
}

func (b *demoBrowser) testRemember(t *testing.T) {
	// The form's token is a session's, the account is nobody's to remember, and three files are not in that part of the site.
	const left = 5
	b.click(t, "#remember")
	if got := b.asked(t)[:2]; got[1] != demoUpstream || got[0] != left {
		t.Errorf("with remember the upstream was asked %d times and then %d, want %d and %d", got[1], got[0], demoUpstream, left)
	}
	row := b.rows(t)["/app/slow"]
	for tries := 0; row.Time.Latest >= demoRendering && tries < 5; tries++ {
		b.click(t, "#again")
		row = b.rows(t)["/app/slow"]
	}
	if row.Latest != 304 || row.Asked != 0 || !strings.Contains(row.Why, "not_modified remembered") || row.Time.First < demoRendering || row.Time.Latest >= demoRendering {
		t.Errorf("the slow page: %+v", row)
	}
	// What is remembered is good for its minute, whatever the upstream has by now.
	b.click(t, `li[data-path="/app/slow"] button`)
	if row = b.rows(t)["/app/slow"]; row.Latest != 304 || row.Asked != 0 || !strings.Contains(b.drawn(t), "until you purge it") {
		t.Errorf("changed, and remembered: %+v, %q", row, b.drawn(t))
	}
	b.click(t, "#purge")
	b.wantVisit(t, "/app/slow")
	b.click(t, "#again")
	if got := b.asked(t)[:2]; got[1] != demoUpstream || got[0] != left {
		t.Errorf("after the purge the upstream was asked %d times and then %d, want %d and %d", got[1], got[0], demoUpstream, left)
	}
	b.click(t, "#remember")
	if got := b.asked(t)[:2]; got[1] != demoUpstream || got[0] != demoUpstream {
		t.Errorf("without remember the upstream was asked %d times and then %d", got[1], got[0])
	}
}

// testReload is about what the browser does by itself, with its own cache.
func (b *demoBrowser) testReload(t *testing.T) {
	b.run(t, chromedp.Reload())
	b.wait(t)
	for _, path := range []string{"/", "/demo/demo.js", "/demo/demo.css"} {
		answers := b.of(path)
		if len(answers) != 2 || answers[0].status != 200 || answers[1].status != 304 {
			t.Errorf("%s: %+v, want a 200 and a 304", path, answers)
		}
	}
	b.wantVisit(t)
}

func (b *demoBrowser) testKeyboard(t *testing.T) {
	focused := func() string {
		t.Helper()
		return evaluate[string](t, b, `document.activeElement.id || document.activeElement.dataset.row || ''`)
	}
	evaluate[chromedp.Void](t, b, `document.activeElement.blur()`)
	for _, step := range []struct{ id, key string }{{"again", kb.Enter}, {"over", kb.Enter}, {"purge", " "}, {"remember", " "}} {
		b.press(t, kb.Tab)
		if got := focused(); got != step.id {
			t.Fatalf("the focus is on %q, want %q", got, step.id)
		}
		before := b.drawn(t)
		b.press(t, step.key)
		b.wait(t)
		if got := focused(); got != step.id || b.drawn(t) == before {
			t.Errorf("after %s the focus is on %q, and it has had an effect: %t", step.id, got, b.drawn(t) != before)
		}
	}
	b.press(t, kb.Tab, kb.Tab, kb.Tab, kb.Enter) // two links, and the button of the second resource
	b.wait(t)
	if got := focused(); got != "1" {
		t.Errorf("after a change the focus is on %q, want 1", got)
	}
	b.click(t, "#remember")
}

// drawn is what the page says of its visits.
func (b *demoBrowser) drawn(t *testing.T) string {
	t.Helper()
	return evaluate[string](t, b, `document.getElementById('said').textContent`)
}

// testSeek: a player can only go to a place that it has not loaded where parts are to be had.
func (b *demoBrowser) testSeek(t *testing.T) {
	at := evaluate[float64](t, b, `new Promise((done, failed) => {
		const audio = document.querySelector('audio');
		audio.onerror = () => failed(audio.error);
		audio.onloadedmetadata = () => { audio.currentTime = 5; };
		audio.onseeked = () => done(audio.currentTime);
		audio.load();
		audio.preload = 'auto';
	})`)
	answers := b.of("/files/tune.wav")
	if last := answers[len(answers)-1]; at != 5 || last.status != 206 {
		t.Errorf("it is at %v s, and was sent with %d", at, last.status)
	}
}

// demoContrasts are texts that are hard to read: below 4.5 to 1, as WCAG has it.
const demoContrasts = `(() => {
	const rgb = (text) => text.match(/[\d.]+/g).map(Number);
	const light = (text) => rgb(text).slice(0, 3).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (element) => {
		const color = getComputedStyle(element).backgroundColor;
		return (rgb(color)[3] ?? 1) === 0 && element.parentElement ? behind(element.parentElement) : color;
	};
	return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).flatMap((e) => {
		const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
		return (a + 0.05) / (b + 0.05) < 4.5 ? [e.textContent.trim()] : [];
	});
})()`

func (b *demoBrowser) testLook(t *testing.T, scheme string) {
	t.Helper()
	for _, width := range []int64{360, 700, 1000} {
		b.look(t, width, scheme)
		if wide := evaluate[int64](t, b, `document.documentElement.scrollWidth`); wide > width {
			t.Errorf("in a window of %d the page is %d wide", width, wide)
		}
	}
	page := evaluate[string](t, b, `getComputedStyle(document.body).backgroundColor`)
	if want := map[string]string{"light": "rgb(246, 247, 249)", "dark": "rgb(18, 22, 29)"}[scheme]; page != want {
		t.Errorf("the page is %s, want %s", page, want)
	}
	if faint := evaluate[[]string](t, b, demoContrasts); len(faint) > 0 {
		t.Errorf("hard to read: %q", faint)
	}
}

var demoAdminRows = map[string]struct {
	method, path, origin string
	status               int
}{
	"the status":                    {"GET", "/conditional_cache/", "", 200},
	"a purge by the page":           {"POST", "/conditional_cache/purge", "http://localhost:8080", 200},
	"a purge by another site":       {"POST", "/conditional_cache/purge", "http://example.com", 404},
	"a purge by another port":       {"POST", "/conditional_cache/purge", "http://localhost:8082", 404},
	"a purge by who knows":          {"POST", "/conditional_cache/purge", "null", 404},
	"a purge without an origin":     {"POST", "/conditional_cache/purge", "", 404},
	"another method":                {"PUT", "/conditional_cache/purge", "http://localhost:8080", 404},
	"more below":                    {"GET", "/conditional_cache/top", "http://localhost:8080", 404},
	"the configuration":             {"GET", "/config/", "http://localhost:8080", 404},
	"another configuration":         {"POST", "/load", "http://localhost:8080", 404},
	"a way round":                   {"GET", "/conditional_cache/../config/", "http://localhost:8080", 404},
	"a way round, encoded":          {"GET", "/conditional_cache/%2e%2e/config/", "http://localhost:8080", 404},
	"a change by the page":          {"POST", "/upstream/change/slow", "http://localhost:8080", 204},
	"a change by another site":      {"POST", "/upstream/change/slow", "http://example.com", 403},
	"a change of what there is not": {"POST", "/upstream/change/nothing", "http://localhost:8080", 404},
	"a change by a link":            {"GET", "/upstream/change/slow", "http://localhost:8080", 405},
	"a write":                       {"PUT", "/app/slow", "http://localhost:8080", 405},
	"what there is not":             {"GET", "/app/nothing", "", 404},
}

// TestDemoAdmin: what the page may ask of the admin endpoint is open to the page, and to nothing else.
func TestDemoAdmin(t *testing.T) {
	ports := runExample(t)
	for name, row := range demoAdminRows {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), row.method, ports.Replace("http://localhost:8080"+row.path), strings.NewReader(`{"all": true}`))
			if err != nil {
				t.Fatal(err)
			}
			if row.origin != "" {
				r.Header.Set("Origin", ports.Replace(row.origin))
			}
			response, err := exampleClient().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != row.status {
				t.Errorf("%s, want %d", response.Status, row.status)
			}
		})
	}
}

// TestDemoSaysTheReasons: the sentences of the page are those of docs/reasons.md.
func TestDemoSaysTheReasons(t *testing.T) {
	script := readDoc(t, "../examples/site/demo/draw.js")
	_, script, _ = strings.Cut(script, "const sentences = {\n")
	script, _, _ = strings.Cut(script, "\n};")
	rows := regexp.MustCompile(`(?m)^\t(\w+): (?:'(.*)'|"(.*)"),$`).FindAllStringSubmatch(script, -1)
	if len(rows) < 9 || len(rows) != strings.Count(script, "\n")+1 {
		t.Fatalf("%d sentences in\n%s", len(rows), script)
	}
	for _, row := range rows {
		if want := journal.Because(row[1]).Sentence(); row[2]+row[3] != want {
			t.Errorf("%s: %q, want %q", row[1], row[2]+row[3], want)
		}
	}
}

// TestDemoHasEveryOption: the index names each word of the grammar, and its links lead somewhere.
func TestDemoHasEveryOption(t *testing.T) {
	ports := runExample(t)
	index := readDoc(t, "examples/site/index.html")
	for _, line := range strings.Split(grammarOf(t), "\n")[1:] {
		name, _, _ := strings.Cut(strings.Trim(line, " \t{}"), " ")
		if name = strings.ReplaceAll(name, "@<name>", "@name"); name != "" && !regexp.MustCompile(`<code>`+name+`\b`).MatchString(index) {
			t.Errorf("the index does not name %s", name)
		}
	}
	links := regexp.MustCompile(`<a href="(?:http://localhost(:8082))?(/[^"]+)"`).FindAllStringSubmatch(index, -1)
	if len(links) < 14 {
		t.Fatalf("%d links", len(links))
	}
	for _, link := range links {
		response, err := exampleClient().Get("http://localhost" + ports.Replace(cmp.Or(link[1], ":8080")) + link[2])
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		// What no part of the example is for is answered with an empty 200.
		if (response.StatusCode != 200 && link[2] != "/policy/gone/it") || response.ContentLength == 0 {
			t.Errorf("%s: %s, %d bytes", link[0], response.Status, response.ContentLength)
		}
	}
}
