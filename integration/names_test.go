package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// naming is an upstream that has entity tags of its own, and says them wherever such upstreams do: on GET, in the body of
// a PROPFIND, on the answer to a write. It keeps one text, which is long enough for encode.
type naming struct {
	tag   func(version int) string                     // "up-<version>"
	coded func(w http.ResponseWriter, r *http.Request) // before GET answers: an upstream that codes by itself
	lax   bool                                         // it never compares If-Match
	dated bool                                         // it sends a Last-Modified, which stays within one second
	quiet bool                                         // GET says no tag
	get   http.HandlerFunc                             // in place of GET

	mu      sync.Mutex
	version int
	text    string
	asked   []string      // methods
	matches []string      // If-Match of the writes that came
	read    []http.Header // fields of the GETs
}

// namingDate is when each version of naming was modified.
var namingDate = time.Unix(0x65537f00, 0).UTC()

func (n *naming) current() string {
	if n.tag != nil {
		return n.tag(n.version)
	}
	return fmt.Sprintf(`"up-%d"`, n.version)
}

func (n *naming) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, r.Method)
	if n.dated {
		w.Header().Set("Last-Modified", namingDate.Format(http.TimeFormat))
	}
	switch r.Method {
	case "PROPFIND":
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = io.WriteString(w, n.current())
	case http.MethodGet:
		n.answer(w, r)
	default:
		n.write(w, r)
	}
}

func (n *naming) answer(w http.ResponseWriter, r *http.Request) {
	n.read = append(n.read, r.Header.Clone())
	if n.get != nil {
		n.get(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if !n.quiet {
		w.Header().Set("Etag", n.current())
	}
	if n.coded != nil {
		n.coded(w, r)
		return
	}
	_, _ = io.WriteString(w, n.text)
}

func (n *naming) write(w http.ResponseWriter, r *http.Request) {
	match := r.Header["If-Match"]
	n.matches = append(n.matches, strings.Join(match, " | "))
	// As applications do it: the field is compared as one string.
	if !n.lax && len(match) > 0 && match[0] != "*" && match[0] != n.current() {
		w.Header().Set("Etag", n.current())
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	n.version++
	n.text = string(text)
	w.Header().Set("Etag", n.current())
	w.WriteHeader(http.StatusNoContent)
}

// methods is what it was asked since the last call, and which If-Match the writes had.
func (n *naming) methods() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	said := strings.Join(n.asked, " ") + ": " + strings.Join(n.matches, " ")
	n.asked, n.matches = nil, nil
	return said
}

// likeApache codes by itself and says so in the tag.
func likeApache(n *naming) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			_, _ = io.WriteString(w, n.text)
			return
		}
		w.Header().Set("Etag", strings.TrimSuffix(n.current(), `"`)+`-gzip"`)
		w.Header().Set("Content-Encoding", "gzip")
		var coded bytes.Buffer
		z := gzip.NewWriter(&coded)
		_, _ = io.WriteString(z, n.text)
		_ = z.Close()
		_, _ = w.Write(coded.Bytes())
	}
}

var longText = strings.Repeat("a line of the text\n", 100)

const (
	replacing     = "conditional_cache {\n etag strong {\n existing replace\n }\n guard_writes\n}\n"
	replacingAuto = "conditional_cache {\n etag auto {\n existing replace\n }\n}\n"
)

// inFront has the upstream behind directives, of which the last may be open.
func inFront(directives string) string {
	open := strings.Count(directives, "{") - strings.Count(directives, "}")
	return directives + "reverse_proxy {upstream}" + strings.Repeat("\n}", open)
}

// TestCodedTagsInWrites: a tag that a compressor has changed, as the client has it, saves upon what it names.
func TestCodedTagsInWrites(t *testing.T) {
	for name, tt := range map[string]struct {
		directives string
		apache     bool
		tag        string
	}{
		"encode":                {directives: "encode gzip\nconditional_cache\n", tag: `"up-1-gzip"`},
		"encode zstd":           {directives: "encode zstd\nconditional_cache\n", tag: `"up-1-zstd"`},
		"Apache":                {directives: "conditional_cache\n", apache: true, tag: `"up-1-gzip"`},
		"Apache, behind encode": {directives: "encode gzip\nconditional_cache\n", apache: true, tag: `"up-1-gzip"`},
		"guarded":               {directives: "encode gzip\n" + guarding, tag: `"up-1-gzip"`},
		"Apache, guarded":       {directives: guarding, apache: true, tag: `"up-1-gzip"`},
		"nested":                {directives: "encode gzip\nconditional_cache\nhandle {\n conditional_cache\n", tag: `"up-1-gzip"`},
		"behind a remember":     {directives: "encode gzip\nconditional_cache {\n remember 1m\n}\n", tag: `"up-1-gzip"`},
		"with etags weakened":   {directives: "encode gzip\nconditional_cache {\n etag auto {\n existing weaken\n }\n}\n", tag: `W/"up-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			n := &naming{version: 1, text: longText}
			if tt.apache {
				n.coded = likeApache(n)
			}
			c := noteSite(t, inFront(tt.directives), n)
			c.acceptEncoding = "gzip, zstd"
			if strings.HasPrefix(tt.directives, "encode zstd\n") {
				c.acceptEncoding = "zstd"
			}
			got := c.get(t, "/", nil).header.Get("Etag")
			if got != tt.tag {
				t.Fatalf("the tag is %s, want %s", got, tt.tag)
			}
			if strings.HasPrefix(got, "W/") {
				// The operator says that the upstream's tags are weak, and a weak one names no version for sure.
				c.must(t, http.StatusPreconditionFailed, "PUT", "/", "new", "If-Match", got)
				c.must(t, http.StatusPreconditionFailed, "PUT", "/", "new", "If-Match", `"up-1-gzip"`)
				return
			}
			c.must(t, http.StatusNoContent, "PUT", "/", "new", "If-Match", got)
			c.must(t, http.StatusPreconditionFailed, "PUT", "/", "newer", "If-Match", got)
			if n.text != "new" {
				t.Errorf("the text is %q", n.text)
			}
		})
	}
}

// failsGET answers GET with a status and nothing else.
func failsGET(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// tagsGET answers GET with a tag and nothing else.
func tagsGET(tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Etag", tag) }
}

func hangsOnGET(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// endlessGET says what there is to say in its head, and does not come to an end.
func endlessGET(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Etag", `"up-1"`)
	_, _ = io.WriteString(w, longText)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// always is the tag of every version.
func always(tag string) func(int) string { return func(int) string { return tag } }

// codedTrial is one write with an If-Match that may name a coded tag.
type codedTrial struct {
	match  string
	tag    func(int) string
	get    http.HandlerFunc
	fields []string
	asked  string // methods, and If-Match as the upstream saw it
	status int
}

var codedTrials = map[string]codedTrial{
	"the upstream's tag ends so": {match: `"page-12-pt-br"`, tag: always(`"page-12-pt-br"`), asked: `GET PUT: "page-12-pt-br"`, status: 204},
	"one that it no longer has":  {match: `"page-11-pt-br"`, tag: always(`"page-12-pt-br"`), asked: `GET PUT: "page-11-pt-br"`, status: 412},
	"a list with the current":    {match: `"up-9-gzip", "up-1-br"`, asked: `GET PUT: "up-1"`, status: 204},
	"a list with the same twice": {match: `"page-1", "page-1-gzip"`, tag: always(`"page-1"`), asked: `GET PUT: "page-1", "page-1-gzip"`, status: 412},
	"weak":                       {match: `W/"up-1-gzip"`, asked: `PUT: W/"up-1-gzip"`, status: 412},
	"*":                          {match: `*`, asked: `PUT: *`, status: 204},
	"no suffix":                  {match: `"up-1"`, asked: `PUT: "up-1"`, status: 204},
	"a suffix alone":             {match: `"-gzip"`, asked: `PUT: "-gzip"`, status: 412},
	"a weak answer":              {match: `"up-1-gzip"`, get: tagsGET(`W/"up-1"`), asked: `GET PUT: "up-1-gzip"`, status: 412},
	"a malformed answer":         {match: `"up-1-gzip"`, get: tagsGET(`up-1`), asked: `GET PUT: "up-1-gzip"`, status: 412},
	"no tag":                     {match: `"up-1-gzip"`, get: failsGET(200), asked: `GET PUT: "up-1-gzip"`, status: 412},
	"405":                        {match: `"up-1-gzip"`, tag: always(`"up-1-gzip"`), get: failsGET(405), asked: `GET PUT: "up-1-gzip"`, status: 204},
	"500":                        {match: `"up-1-gzip"`, tag: always(`"up-1-gzip"`), get: failsGET(500), asked: `GET PUT: "up-1-gzip"`, status: 204},
	"403":                        {match: `"up-1-gzip"`, tag: always(`"up-1-gzip"`), get: failsGET(403), asked: `GET PUT: "up-1-gzip"`, status: 204},
	"404":                        {match: `"up-1-gzip"`, tag: always(`"up-1-gzip"`), get: failsGET(404), asked: `GET PUT: "up-1-gzip"`, status: 204},
	"GET has no end":             {match: `"up-1-gzip"`, get: endlessGET, asked: `GET PUT: "up-1"`, status: 204},
	"GET hangs":                  {match: `"up-1-gzip"`, tag: always(`"up-1-gzip"`), get: hangsOnGET, asked: `GET PUT: "up-1-gzip"`, status: 204},
	"GET aborts":                 {match: `"up-1-gzip"`, tag: always(`"up-1-gzip"`), get: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, asked: `GET PUT: "up-1-gzip"`, status: 204},
	"signed, with If-Match": {
		match: `"up-1-gzip"`, fields: []string{"Authorization", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host;if-match, Signature=y"},
		asked: `PUT: "up-1-gzip"`, status: 412,
	},
	"a credential for one request": {match: `"up-1-gzip"`, fields: []string{"Authorization", `Digest username="a", nc=00000001`}, asked: `PUT: "up-1-gzip"`, status: 412},
	"a proof of possession":        {match: `"up-1-gzip"`, fields: []string{"Authorization", "Bearer x", "DPoP", "y"}, asked: `PUT: "up-1-gzip"`, status: 412},
	"a signed message":             {match: `"up-1-gzip"`, fields: []string{"Signature-Input", `a=("if-match")`, "Signature", "a=:x:"}, asked: `PUT: "up-1-gzip"`, status: 412},
	"a token that lasts":           {match: `"up-1-gzip"`, fields: []string{"Authorization", "Bearer x"}, asked: `GET PUT: "up-1"`, status: 204},
}

// TestCodedTagsGoUpUnchanged: whatever is not certain to be such a tag reaches the upstream as it was sent, and it judges.
func TestCodedTagsGoUpUnchanged(t *testing.T) {
	for name, tt := range codedTrials {
		t.Run(name, func(t *testing.T) {
			n := &naming{version: 1, text: longText, tag: tt.tag, get: tt.get}
			c := noteSite(t, "encode gzip\nconditional_cache\nreverse_proxy {upstream} {\n transport http {\n keepalive off\n }\n}", unlocked(n))
			start := time.Now()
			c.must(t, tt.status, "PUT", "/", "new", append([]string{"If-Match", tt.match}, tt.fields...)...)
			if took := time.Since(start); took > time.Second && name != "GET hangs" {
				t.Errorf("after %s", took)
			}
			if got := n.methods(); got != tt.asked {
				t.Errorf("the upstream was asked %s, want %s", got, tt.asked)
			}
			for _, h := range n.read {
				if got := h.Get("Accept-Encoding"); got != "identity" || h["If-Match"] != nil {
					t.Errorf("GET was asked with Accept-Encoding %q, If-Match %q", got, h["If-Match"])
				}
			}
		})
	}
}

// unlocked lets a GET with an answer of its own go on beside a write.
func unlocked(n *naming) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || n.get == nil {
			n.ServeHTTP(w, r)
			return
		}
		n.mu.Lock()
		n.asked = append(n.asked, r.Method)
		n.read = append(n.read, r.Header.Clone())
		n.mu.Unlock()
		n.get(w, r)
	})
}

// TestWeakTagsOfOurs: what an upstream cannot know does not reach it.
func TestWeakTagsOfOurs(t *testing.T) {
	ignoring := "conditional_cache {\n etag auto {\n existing replace\n ignore `secret-\\d+`\n }\n}\n"
	for name, tt := range map[string]struct {
		directives string
		first      int
	}{
		"encode, replaced":         {"encode gzip\n" + replacingAuto, 204},
		"replaced":                 {replacingAuto, 204},
		"nested, replaced inside":  {"conditional_cache\nhandle {\n" + replacingAuto, 204},
		"nested, replaced outside": {replacingAuto + "handle {\nconditional_cache\n", 204},
		"all weak":                 {"conditional_cache {\n etag weak {\n existing replace\n }\n}\n", 204},
		"guarded":                  {"encode gzip\n" + replacing, 204},
		"parts are ignored":        {ignoring, 412},
		"… by one further in":      {"conditional_cache\nhandle {\n" + ignoring, 412},
	} {
		t.Run(name, func(t *testing.T) {
			n := &naming{version: 1, text: longText}
			c := noteSite(t, inFront(tt.directives), n)
			c.acceptEncoding = "gzip"
			tag := c.get(t, "/", nil).header.Get("Etag")
			if strings.Contains(tag, "up-") {
				t.Fatalf("the tag is %s", tag)
			}
			c.must(t, tt.first, "PUT", "/", "new", "If-Match", tag)
			if tt.first == 204 {
				c.must(t, 412, "PUT", "/", "newer", "If-Match", tag)
			}
			for _, match := range n.matches {
				if match != "" {
					t.Errorf("the upstream saw If-Match: %s", match)
				}
			}
		})
	}
}

// TestAnswerToAWrite: it names what a GET will say, or nothing (RFC 9110 §9.3.4).
func TestAnswerToAWrite(t *testing.T) {
	const undated = "conditional_cache {\n last_modified remove\n}\n"
	const remembering = "conditional_cache {\n remember 1m\n etag auto {\n existing replace\n }\n}\n"
	for name, tt := range map[string]struct {
		directives, path string
		up               *naming // what it is made of; nil: nothing special
		fields           []string
		etag             string
		dated            bool
	}{
		"bare":                 {directives: "conditional_cache\n", etag: `"up-2"`, up: &naming{dated: true}, dated: true},
		"replaced":             {directives: replacingAuto},
		"replaced, remembered": {directives: remembering},
		"removed":              {directives: "conditional_cache {\n etag auto {\n existing remove\n }\n}\n"},
		"weakened":             {directives: "conditional_cache {\n etag auto {\n existing weaken\n }\n}\n", etag: `W/"up-2"`},
		"repaired": {
			directives: "conditional_cache {\n etag auto {\n existing repair\n }\n}\n", etag: `"up-2"`,
			up: &naming{tag: func(v int) string { return fmt.Sprint("up-", v) }},
		},
		"dates removed":        {directives: undated, etag: `"up-2"`, up: &naming{dated: true}},
		"a multipart upload":   {directives: replacingAuto, path: "?partNumber=1&uploadId=x", etag: `"up-2"`},
		"… of another kind":    {directives: replacingAuto, path: "?partnumber=1"},
		"untrusted":            {directives: "conditional_cache\n", up: &naming{tag: func(int) string { return zeroTag }}},
		"an error":             {directives: replacingAuto, fields: []string{"If-Match", `"another"`}},
		"guarded, no tag":      {directives: guarding, up: &naming{quiet: true}, fields: []string{"If-Match", "*"}},
		"guarded, its own tag": {directives: guarding, fields: []string{"If-Match", "*"}, etag: `"up-2"`},
		"nested":               {directives: "conditional_cache\nhandle {\n" + replacingAuto},
		"nested, guarded":      {directives: "conditional_cache\nhandle {\n" + guarding, up: &naming{quiet: true}, fields: []string{"If-Match", "*"}},
	} {
		for _, method := range []string{"PUT", "PATCH", "POST", "DELETE"} {
			if method == "POST" && strings.Contains(name, "guarded") {
				continue // not guarded by default
			}
			t.Run(name+" "+method, func(t *testing.T) {
				n := &naming{version: 1, text: longText}
				if tt.up != nil {
					n.tag, n.dated, n.quiet = tt.up.tag, tt.up.dated, tt.up.quiet
				}
				c := noteSite(t, inFront(tt.directives), n)
				status := http.StatusNoContent
				if name == "an error" {
					status = http.StatusPreconditionFailed
				}
				got := c.must(t, status, method, "/"+tt.path, "new", tt.fields...)
				if etag := got.header.Get("Etag"); etag != tt.etag || (got.header["Last-Modified"] != nil) != tt.dated {
					t.Errorf("the answer has ETag %s, want %s; and Last-Modified %q", etag, tt.etag, got.header["Last-Modified"])
				}
			})
		}
	}
}

// zeroTag is file_server's of a file without a time.
var zeroTag = `"` + strconv.FormatInt(time.Time{}.UnixNano(), 36) + `-5"`

// nameTrial is one write that names what it changes. own is the upstream's tag, ours what a GET gets.
type nameTrial struct {
	directives string
	tag        func(int) string
	dated      bool
	apache     bool
	match      func(own, ours string) string
	fields     func(own, ours string) []string
	status     int
	passed     string
}

var nameTrials = map[string]nameTrial{
	"the upstream's":             {match: func(own, _ string) string { return own }, status: 204, passed: `"up-1"`},
	"ours":                       {match: func(_, ours string) string { return ours }, status: 204},
	"both":                       {match: func(own, ours string) string { return own + ", " + ours }, status: 204},
	"an old one, and the own":    {match: func(own, _ string) string { return `"up-0", ` + own }, status: 204, passed: `"up-1"`},
	"an old one of ours besides": {match: func(own, _ string) string { return `"cc1.ffffffffffffffffffffffffffffffff", ` + own }, status: 204, passed: `"up-1"`},
	"an old one":                 {match: func(string, string) string { return `"up-0"` }, status: 412},
	"weakly":                     {match: func(own, _ string) string { return "W/" + own }, status: 412},
	"a weak one":                 {tag: func(v int) string { return fmt.Sprintf(`W/"up-%d"`, v) }, match: func(own, _ string) string { return own }, status: 412},
	"under remove": {
		directives: "conditional_cache {\n etag strong {\n existing remove\n }\n guard_writes\n}\n",
		match:      func(own, _ string) string { return own }, status: 204, passed: `"up-1"`,
	},
	"under weaken": {
		directives: "conditional_cache {\n etag strong {\n existing weaken\n }\n guard_writes\n}\n",
		match:      func(own, _ string) string { return own }, status: 412,
	},
	"nginx's": {
		tag: func(v int) string { return fmt.Sprintf(`"%x-%x"`, namingDate.Unix(), v) }, dated: true,
		match: func(own, _ string) string { return own }, status: 412,
	},
	"of a date, but a finer one": {
		tag: func(v int) string { return fmt.Sprintf(`"%d%03d-7"`, namingDate.Unix(), v) }, dated: true,
		match: func(own, _ string) string { return own }, status: 204, passed: fmt.Sprintf(`"%d001-7"`, namingDate.Unix()),
	},
	"the upstream codes": {
		apache: true, match: func(own, _ string) string { return own }, status: 204, passed: `"up-1"`,
	},
	"the upstream codes, kept": {
		directives: guarding, apache: true, match: func(own, _ string) string { return own }, status: 204, passed: `"up-1"`,
	},
	"nested, replaced inside": {
		directives: guarding + "handle {\nconditional_cache {\n etag strong {\n existing replace\n }\n }\n",
		match:      func(own, _ string) string { return own }, status: 204, passed: `"up-1"`,
	},
	"nested, replaced outside": {
		directives: replacing + "handle {\nconditional_cache\n",
		match:      func(own, _ string) string { return own }, status: 204, passed: `"up-1"`,
	},
	"nested, weakened inside": {
		directives: replacing + "handle {\nconditional_cache {\n etag auto {\n existing weaken\n }\n }\n",
		match:      func(own, _ string) string { return own }, status: 412,
	},
	"If-None-Match, the upstream's": {fields: func(own, _ string) []string { return []string{"If-None-Match", own} }, status: 412},
	"If-None-Match, ours":           {fields: func(_, ours string) []string { return []string{"If-None-Match", ours} }, status: 412},
	"If-None-Match, others":         {fields: func(string, string) []string { return []string{"If-None-Match", `"up-0"`} }, status: 204},
	"both fields": {fields: func(own, ours string) []string {
		return []string{"If-Match", own, "If-None-Match", ours}
	}, status: 412},
}

// TestTwoNames: a write may name what it changes as the upstream does, or as this handler does.
func TestTwoNames(t *testing.T) {
	for name, tt := range nameTrials {
		t.Run(name, func(t *testing.T) {
			if tt.directives == "" {
				tt.directives = replacing
			}
			n := &naming{version: 1, text: longText, tag: tt.tag, dated: tt.dated}
			c := noteSite(t, inFront(tt.directives), n)
			if tt.apache {
				n.coded, c.acceptEncoding = likeApache(n), "gzip"
			}
			ours := c.get(t, "/", nil).header.Get("Etag")
			own := c.must(t, http.StatusMultiStatus, "PROPFIND", "/", "").body
			fields := []string{"If-Match", ""}
			if tt.fields != nil {
				fields = tt.fields(own, ours)
			} else {
				fields[1] = tt.match(own, ours)
			}
			n.methods()
			c.must(t, tt.status, "PUT", "/", "new", fields...)
			want := "GET: "
			if tt.status == 204 {
				want = "GET PUT: " + tt.passed
			}
			if got := n.methods(); got != want {
				t.Errorf("the upstream was asked %s, want %s", got, want)
			}
		})
	}
}

// TestWeakUpstream: an upstream with weak tags only, as Express is, whose application compares what it gets.
func TestWeakUpstream(t *testing.T) {
	n := &naming{version: 1, text: longText, tag: func(v int) string { return fmt.Sprintf(`W/"7d0-%d"`, v) }}
	c := noteSite(t, "encode gzip\n"+replacing+"reverse_proxy {upstream}", n)
	c.acceptEncoding = "gzip"
	for round := range 3 {
		tag := c.get(t, "/", nil).header.Get("Etag")
		got := c.must(t, http.StatusNoContent, "PUT", "/", fmt.Sprint(longText, round), "If-Match", tag)
		if got.header["Etag"] != nil {
			t.Errorf("the 204 names %s", got.header.Get("Etag"))
		}
		c.must(t, http.StatusPreconditionFailed, "PUT", "/", "another", "If-Match", tag)
	}
}
