package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// minCasesRun keeps a broken loader, or a skip rule that grew, from passing by running next to nothing.
const minCasesRun = 320

// skippedConfigs names the words of a case's config that cannot be run, with the reason. Their translation stands
// in configWords where there is one: when the feature comes, its line here is deleted and its cases run.
var skippedConfigs = map[string]string{
	"vary_add": "has no counterpart: Vary is the upstream's to say",
}

// deviations lists cases whose answer is another one by decision, with the reason. They run all the same, and have
// to deviate, so that no line outlives its reason. What the RFC demands (MUST, SHOULD) cannot stand here.
var deviations = map[string]string{
	"cc-merge-django-8":        "private of either side stands: a public in its place would share what belongs to one user",
	"cc-expires-modified-plus": "a Last-Modified before 1980-01-02 is a build tool's, and nothing counts from it",
}

// otherAnswers lists cases that allow several answers and get another one than the preferred, with the reason. All
// others have to get the preferred one.
var otherAnswers = map[string]string{
	"rng-multi-first-last":     "with the heads of its parts it would be longer than the whole (RFC 9110 §14.2, §17.15)",
	"rng-multi-three-rfc":      "so would this",
	"rng-multi-space":          "so would this",
	"rng-multi-one-unsat":      "so would this",
	"rng-multi-empty-elements": "so would this",
	"ifr-date-match-no-etag":   "a coding may follow, and coded bytes would have the same date",
	"ius-lm-future":            "a Last-Modified in the future becomes Date, and is not later than the condition then",
	"seq-mem-disconnect":       "what has the upstream's own tag is not held, so that its 200 is out when it breaks off",
	"status-203-inm":           "a 304 stands for a 200 only (RFC 9110 §15.4.5)",
}

// testCase is one line of a case file: one exchange, or several steps on one resource.
type testCase struct {
	ID     string `json:"id"`
	Group  string `json:"group"`
	Config string `json:"config"`
	RFC    string `json:"rfc"`
	Level  string `json:"level"`
	Note   string `json:"note"`
	Prime  bool   `json:"prime"`
	// HarmlessLeniency marks an invalid date that a lenient parser reads as intended. It changes nothing here:
	// without `lenient` such a date is ignored (RFC 9110 §13.1.3).
	HarmlessLeniency bool `json:"harmless_leniency"`

	Origin  json.RawMessage   `json:"origin"`
	Request json.RawMessage   `json:"request"`
	Expect  json.RawMessage   `json:"expect"`
	Steps   []json.RawMessage `json:"steps"`
}

// caseStep is one exchange of a case.
type caseStep struct {
	Origin      originAnswer `json:"origin"`
	Request     caseRequest  `json:"request"`
	Expect      expectation  `json:"expect"`
	SleepBefore int          `json:"sleep_before"` // seconds
}

// steps returns the steps as written, placeholders included.
func (c testCase) steps() []json.RawMessage {
	if c.Steps != nil {
		return c.Steps
	}
	return []json.RawMessage{fmt.Appendf(nil, `{"origin":%s,"request":%s,"expect":%s}`, c.Origin, c.Request, c.Expect)}
}

// skipReason says why the case is not run; empty means that it is.
func (c testCase) skipReason() string {
	for word, reason := range ordered(skippedConfigs) {
		if regexp.MustCompile(`(^|, )` + regexp.QuoteMeta(word)).MatchString(c.Config) {
			return reason
		}
	}
	return ""
}

// TestCases holds Caddy with this module against facts collected from the test suites of peers and from the grammar
// of RFC 9110 and 9111. Levels: MUST and SHOULD are the RFC's; MAY, SAFE, PEER and CONFIG are a choice, made as
// the case says unless deviations has it.
func TestCases(t *testing.T) {
	files := loadCaseFiles(t)
	o := startOrigin(t)
	ports := serveConfigs(t, o, files)
	tallies := make([]tally, len(files))
	for i, file := range files {
		tallies[i].name = file.name
		t.Run(file.name, func(t *testing.T) {
			for _, c := range file.cases {
				t.Run(c.ID, func(t *testing.T) {
					if reason := c.skipReason(); reason != "" {
						tallies[i].skipped++
						t.Skip(reason)
					}
					tallies[i].run++
					run := caseRun{origin: o, port: ports[mustDirective(t, c.Config)], key: c.ID}
					run.judge(t, c)
				})
			}
		})
	}
	reportTallies(t, tallies)
}

// tally counts the cases of one file.
type tally struct {
	name         string
	run, skipped int
}

func reportTallies(t *testing.T, tallies []tally) {
	t.Helper()
	var total tally
	for _, one := range tallies {
		t.Logf("%-24s %3d run, %2d skipped", one.name, one.run, one.skipped)
		total.run += one.run
		total.skipped += one.skipped
	}
	t.Logf("%-24s %3d run, %2d skipped", "all", total.run, total.skipped)
	chosen := flag.Lookup("test.run").Value.String() + flag.Lookup("test.skip").Value.String()
	if total.run < minCasesRun && !strings.Contains(chosen, "/") {
		t.Errorf("%d cases run, want at least %d", total.run, minCasesRun)
	}
}

// caseRun is where a case is run: its resource at the origin, and the site that has its configuration.
type caseRun struct {
	origin *origin
	port   int
	key    string
}

// judge runs a case and reports what is not as it should be.
func (r caseRun) judge(t *testing.T, c testCase) {
	t.Helper()
	reason, deviates := deviations[c.ID]
	deviated := false
	why, alternative := otherAnswers[c.ID]
	other := false
	values := placeholders{now: time.Now()}
	if c.Prime || strings.Contains(string(c.steps()[0]), "{{etag_of_empty}}") {
		r.prime(t, c, &values)
	}
	for i, raw := range c.steps() {
		step := mustStep(t, raw, &values)
		time.Sleep(time.Duration(step.SleepBefore) * time.Second)
		x, err := r.exchange(step)
		if err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
		values.learn(fmt.Sprintf("step%d.", i+1), x.response.fields)
		found := step.Expect.problems(x)
		other = other || x.response.status != step.Expect.Status
		deviated = deviated || len(found) > 0
		if deviates {
			continue
		}
		for _, problem := range found {
			t.Error(problem)
		}
		if len(found) > 0 {
			t.Log(describe(c, raw, i, x, r.port))
		}
	}
	if other != alternative && !deviates {
		t.Errorf("the preferred answer: %t; listed in otherAnswers: %t (%s)", !other, alternative, why)
	}
	if deviates && !deviated {
		t.Errorf("the case holds: it does not belong in deviations any more (%s)", reason)
	}
}

// describe prints an exchange that went wrong.
func describe(c testCase, raw json.RawMessage, step int, x *exchange, port int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, step %d: %s, RFC %s; config %s (port %d)\n", c.ID, step+1, c.Level, c.RFC, c.Config, port)
	if c.Note != "" {
		fmt.Fprintf(&b, "note: %s\n", c.Note)
	}
	fmt.Fprintf(&b, "case: %s\n--- request\n%s--- response\n%v\n", raw, x.request.wire(authority(port), c.ID), x.response)
	for _, received := range x.upstream {
		fmt.Fprintf(&b, "--- the upstream received\n%v", received)
	}
	return b.String()
}

// exchange sends the request of a step on a connection of its own, and then a second one, whose answer shows whether
// the first left the connection clean.
func (r caseRun) exchange(s caseStep) (*exchange, error) {
	r.origin.answer(r.key, s.Origin)
	r.origin.received(r.key)
	client, err := dialCase(r.port)
	if err != nil {
		return nil, err
	}
	defer client.close()
	x := &exchange{origin: s.Origin, request: s.Request}
	if x.response, err = client.send(s.Request, r.key); err != nil {
		return nil, err
	}
	x.upstream = r.origin.received(r.key)
	if !x.response.incomplete && (s.Expect.ConnectionReusable || hasNoContent(x)) {
		x.reuse = r.secondRequest(client)
	}
	return x, nil
}

// secondRequest asks for another resource on the same connection; it must come intact.
func (r caseRun) secondRequest(client *caseClient) error {
	second := originAnswer{Status: 200, Body: "the second answer"}
	key := r.key + ".second"
	r.origin.answer(key, second)
	got, err := client.send(caseRequest{Method: "GET"}, key)
	r.origin.received(key)
	if err != nil {
		return fmt.Errorf("second request: %w", err)
	}
	if got.status != second.Status || string(got.body) != second.Body {
		return fmt.Errorf("second request: got %v", got)
	}
	return nil
}

// prime asks once as a client without a stored response does, and for an empty body of the same kind, so that the
// case can name the entity tags given to them.
func (r caseRun) prime(t *testing.T, c testCase, values *placeholders) {
	t.Helper()
	step := mustPartialStep(t, c.steps()[0], values)
	step.Request = step.Request.withoutConditions()
	if c.Prime {
		x, err := r.exchange(step)
		if err != nil {
			t.Fatalf("prime: %v", err)
		}
		values.learn("", x.response.fields)
	}
	step.Origin.Body = ""
	empty := r
	empty.key += ".empty"
	x, err := empty.exchange(step)
	if err != nil {
		t.Fatalf("prime with an empty body: %v", err)
	}
	if tag, has := x.response.fields.joined("ETag"); has {
		values.set("etag_of_empty", tag)
	}
}

// placeholders are the values that a case names as {{name}}.
type placeholders struct {
	now    time.Time
	values map[string]string
}

func (p *placeholders) set(name, value string) {
	if p.values == nil {
		p.values = make(map[string]string)
	}
	p.values[name] = value
}

// learn takes the entity tag of a response. Without one the names stay unknown, and a case that uses them fails.
func (p *placeholders) learn(prefix string, fs fields) {
	tag, has := fs.joined("ETag")
	if !has {
		return
	}
	opaque := strings.TrimPrefix(tag, "W/")
	p.set(prefix+"etag", tag)
	p.set(prefix+"etag_opaque", opaque)
	p.set(prefix+"etag_unquoted", strings.Trim(opaque, `"`))
}

var (
	placeholder    = regexp.MustCompile(`\{\{[^{}]*\}\}`)
	nowPlaceholder = regexp.MustCompile(`^now([+-][0-9]+)$`)
)

// expand replaces the placeholders in JSON text and returns the names it does not know, which stay as they are.
func (p *placeholders) expand(raw []byte) (expanded []byte, unknown []string) {
	expanded = placeholder.ReplaceAllFunc(raw, func(match []byte) []byte {
		name := string(match[2 : len(match)-2])
		value, ok := p.values[name]
		if m := nowPlaceholder.FindStringSubmatch(name); m != nil {
			seconds, err := strconv.Atoi(m[1])
			ok = err == nil
			value = p.now.Add(time.Duration(seconds) * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		}
		if !ok {
			unknown = append(unknown, name)
			return match
		}
		quoted, _ := json.Marshal(value) // a string always marshals
		return quoted[1 : len(quoted)-1]
	})
	return expanded, unknown
}

// mustStep reads a step with all its placeholders replaced.
func mustStep(t *testing.T, raw []byte, values *placeholders) caseStep {
	t.Helper()
	if _, unknown := values.expand(raw); unknown != nil {
		t.Fatalf("no value for %q in %s", unknown, raw)
	}
	return mustPartialStep(t, raw, values)
}

// mustPartialStep reads a step whose placeholders may not all be known yet.
func mustPartialStep(t *testing.T, raw []byte, values *placeholders) caseStep {
	t.Helper()
	expanded, _ := values.expand(raw)
	step, err := readStep(expanded)
	if err != nil {
		t.Fatalf("%v in %s", err, expanded)
	}
	return step
}

// readStep refuses every key it does not know, which would be an expectation nobody checks, and what the origin
// and the checks could not work with.
func readStep(raw []byte) (caseStep, error) {
	var step caseStep
	var all any
	if err := errors.Join(unmarshalStrict(raw, &step), json.Unmarshal(raw, &all)); err != nil {
		return step, err
	}
	if text := fmt.Sprint(all); strings.ContainsFunc(text, func(c rune) bool { return c > 0xff }) {
		return step, fmt.Errorf("%q cannot be written in ISO-8859-1", text)
	}
	size := len(toWire(step.Origin.Body))
	for _, r := range step.Expect.Ranges {
		if len(r) != 2 || r[0] < 0 || r[0] > r[1] || r[1] >= size {
			return step, fmt.Errorf("%v is not a range of the body", r)
		}
	}
	if n := step.Origin.Truncate; n != nil && (*n < 0 || *n >= size) {
		return step, fmt.Errorf("a body of %d bytes cannot be cut short after %d", size, *n)
	}
	for _, pattern := range step.Expect.HeaderMatches {
		if _, err := regexp.Compile(pattern); err != nil {
			return step, err
		}
	}
	return step, nil
}

func unmarshalStrict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// caseFile is one file of testdata/cases.
type caseFile struct {
	name  string
	cases []testCase
}

// loadCaseFiles reads every case file and checks that the tables of this file still speak of cases there are.
func loadCaseFiles(t *testing.T) []caseFile {
	t.Helper()
	paths, err := filepath.Glob("testdata/cases/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var files []caseFile
	seen := make(map[string]testCase)
	skips := make(map[string]bool)
	for _, path := range paths {
		file := caseFile{name: strings.TrimSuffix(filepath.Base(path), ".jsonl"), cases: readCases(t, path)}
		for _, c := range file.cases {
			if _, twice := seen[c.ID]; twice {
				t.Errorf("%s: the id %s stands for two cases", path, c.ID)
			}
			seen[c.ID] = c
			skips[c.skipReason()] = true
		}
		files = append(files, file)
	}
	for word, reason := range ordered(skippedConfigs) {
		if !skips[reason] {
			t.Errorf("skippedConfigs[%q] skips nothing", word)
		}
	}
	for id := range ordered(deviations) {
		if c, ok := seen[id]; !ok || c.Level == "MUST" || c.Level == "SHOULD" {
			t.Errorf("deviations[%q] is no case, or one that the RFC decides", id)
		}
	}
	return files
}

func readCases(t *testing.T, path string) []testCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, len(data)+1)
	for line := 1; scanner.Scan(); line++ {
		var c testCase
		if err := unmarshalStrict(scanner.Bytes(), &c); err != nil {
			t.Fatalf("%s:%d: %v", path, line, err)
		}
		if levels := []string{"MUST", "SHOULD", "MAY", "SAFE", "PEER", "CONFIG"}; !slices.Contains(levels, c.Level) {
			t.Errorf("%s:%d: unknown level %q", path, line, c.Level)
		}
		for _, raw := range c.steps() {
			if _, err := readStep(raw); err != nil {
				t.Errorf("%s:%d: %s: %v", path, line, c.ID, err)
			}
		}
		cases = append(cases, c)
	}
	return cases
}

// serveConfigs starts one Caddy that has a site for every configuration of the cases, and returns the port of each.
func serveConfigs(t *testing.T, o *origin, files []caseFile) map[string]int {
	t.Helper()
	ports := make(map[string]int)
	taken := make(map[int]bool)
	var sites strings.Builder
	for _, file := range files {
		for _, c := range file.cases {
			directive := mustDirective(t, c.Config)
			if c.skipReason() != "" || ports[directive] != 0 {
				continue
			}
			port := freePort(t)
			for taken[port] {
				port = freePort(t)
			}
			taken[port], ports[directive] = true, port
			fmt.Fprintf(&sites, "http://:%d {\n\tbind 127.0.0.1\n%s\treverse_proxy %s\n}\n", port, directive, o.addr())
		}
	}
	runCaddyWith(t, "\tlog {\n\t\tlevel ERROR\n\t}\n", sites.String())
	return ports
}

func mustDirective(t *testing.T, config string) string {
	t.Helper()
	directive, err := directiveFor(config)
	if err != nil {
		t.Fatalf("config %s: %v", config, err)
	}
	return directive
}

// directiveFor translates the config words of a case into the directive, one line per word.
func directiveFor(config string) (string, error) {
	var b strings.Builder
	b.WriteString("\tconditional_cache {\n")
	for _, word := range listMembers(config) {
		line, err := configLine(word)
		if err != nil {
			return "", err
		}
		b.WriteString(line)
	}
	b.WriteString("\t}\n")
	return b.String(), nil
}

// configWords translate a config word that matches as a whole; $1 and $2 are its parts. In the case files
// cache_control is one pasted value, and a lifetime counted from the access is what max-age means.
var configWords = []struct {
	word *regexp.Regexp
	line string
}{
	{regexp.MustCompile(`^etag_generation=(strong|weak|off)$`), "etag $1\n"},
	{regexp.MustCompile(`^last_modified=(normalize|off)$`), "last_modified $1\n"},
	{regexp.MustCompile(`^cache_control=off$`), ""},
	{regexp.MustCompile(`^cache_control="(.*)"$`), "cache_control `$1`\n"},
	{regexp.MustCompile(`^cache_control="(.*)" \(set if absent\)$`), "cache_control `$1` {\nexisting keep\n}\n"},
	{regexp.MustCompile(`^cache_control="(.*)" \(override\)$`), "cache_control `$1` {\nexisting replace\n}\n"},
	{regexp.MustCompile(`^cache_control_merge="(.*)"$`), "cache_control `$1` {\nexisting merge\n}\n"},
	{regexp.MustCompile(`^expires=(?:access)?\+([0-9]+)s$`), "cache_control max-age=$1\n"},
	{regexp.MustCompile(`^expires=modified\+([0-9]+s)$`), "expires modified $1\n"},
	{regexp.MustCompile(`^max_body=(\S+)$`), "buffer {\nmax_body $1\n}\n"},
	{regexp.MustCompile(`^ranges=on$`), "ranges on\n"},
	{regexp.MustCompile(`^memory=on$`), "remember\n"},
	{regexp.MustCompile(`^vary_add=`), ""}, // always skipped
}

func configLine(word string) (string, error) {
	for _, w := range configWords {
		if w.word.MatchString(word) {
			return w.word.ReplaceAllString(word, w.line), nil
		}
	}
	return "", fmt.Errorf("no directive for the config word %q", word)
}
