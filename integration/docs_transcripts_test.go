package integration

import (
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// runExample runs Caddyfile.example on free ports and returns what puts them into a text.
func runExample(t *testing.T) *strings.Replacer {
	t.Helper()
	return runExampleWith(t)
}

// runExampleWith runs it with some text replaced: pairs of old and new.
func runExampleWith(t *testing.T, pairs ...string) *strings.Replacer {
	t.Helper()
	t.Chdir("..")
	for _, port := range []string{":8080", ":8081", ":8082", ":2019"} {
		pairs = append(pairs, port, ":"+strconv.Itoa(freePort(t)))
	}
	ports := strings.NewReplacer(pairs...)
	if err := caddy.Load(adaptDoc(t, exampleFile, ports.Replace(readDoc(t, exampleFile))), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return ports
}

// exampleClient sends what curl sends: no Accept-Encoding, one request a connection.
func exampleClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		Timeout:   exchangeTimeout,
	}
}

// transcript is one curl command of a page and what it prints.
type transcript struct {
	where, command string
	request        *http.Request
	status         string // "HTTP/1.1 200 OK"
	fields         http.Header
	body           string
}

// transcripts reads the curl commands of a page.
func transcripts(t *testing.T, page string) []transcript {
	t.Helper()
	var all []transcript
	for _, block := range codeBlocks(t, page, "console") {
		for _, part := range strings.Split("\n"+block.text, "\n$ ")[1:] {
			command, output, _ := strings.Cut(part, "\n")
			if !strings.HasPrefix(command, "curl ") {
				continue
			}
			tr := transcript{where: block.where, command: command, request: curlRequest(t, command)}
			head, body, _ := strings.Cut(output, "\n\n")
			tr.body = body
			tr.status, head, _ = strings.Cut(head, "\n")
			tr.fields = make(http.Header)
			for line := range strings.Lines(head) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				tr.fields.Add(name, value)
			}
			all = append(all, tr)
		}
	}
	return all
}

// curlRequest reads a command made of `-i`, `-X <method>`, `-d '<body>'`, `-H '<field>'` and a URL.
func curlRequest(t *testing.T, command string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(command, -1)[1:]
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "-i":
		case words[i] == "-X" && i+1 < len(words):
			i++
			r.Method = words[i]
		case words[i] == "-d" && i+1 < len(words):
			i++
			body := strings.Trim(words[i], "'")
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		case words[i] == "-H" && i+1 < len(words):
			i++
			name, value, _ := strings.Cut(strings.Trim(words[i], "'"), ": ")
			r.Header.Add(name, value)
		case strings.HasPrefix(words[i], "http://"):
			if r.URL, err = r.URL.Parse(words[i]); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("the test does not know %q in %q", words[i], command)
		}
	}
	return r
}

// TestDocsTranscripts: the answers are those that the pages show, to the letter but for Date.
func TestDocsTranscripts(t *testing.T) {
	ports := runExample(t)
	var all []transcript
	for _, page := range docPages(t) {
		all = append(all, transcripts(t, page)...)
	}
	seen := make(map[int]bool)
	for _, tr := range all {
		tr.request.URL.Host = ports.Replace(tr.request.URL.Host)
		response, err := exampleClient().Do(tr.request)
		if err != nil {
			t.Fatal(err)
		}
		seen[response.StatusCode] = true
		t.Run(tr.where+" "+tr.command, func(t *testing.T) { tr.check(t, response) })
	}
	if !seen[http.StatusOK] || !seen[http.StatusNotModified] {
		t.Errorf("the transcripts show %v, which should include a 200 and a 304", seen)
	}
}

// readmeTag is the form of tags made here.
var readmeTag = regexp.MustCompile(`^(W/)?"cc1\.[0-9a-f]{32}(\.[0-9a-z]+)?"$`)

// check compares an answer with what the page shows.
func (tr *transcript) check(t *testing.T, response *http.Response) {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if status := response.Proto + " " + response.Status; status != tr.status {
		t.Errorf("%s: %s, the page says %s", tr.where, status, tr.status)
	}
	for _, tag := range tr.fields["Etag"] {
		if !readmeTag.MatchString(tag) {
			t.Errorf("%s: %s is no tag of ours", tr.where, tag)
		}
	}
	for _, header := range []http.Header{response.Header, tr.fields} {
		if header.Get("Date") == "" {
			t.Errorf("%s: no Date", tr.where)
		}
		header.Del("Date")
	}
	if !maps.EqualFunc(response.Header, tr.fields, slices.Equal) {
		t.Errorf("%s: the fields are\n%v\nthe page says\n%v", tr.where, response.Header, tr.fields)
	}
	if strings.TrimSpace(string(body)) != strings.TrimSpace(tr.body) {
		t.Errorf("%s: the body is\n%s\nthe page says\n%s", tr.where, body, tr.body)
	}
}
