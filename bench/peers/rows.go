package peers

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// answer is what a row says of a server: with what it answers, and whether it asks the upstream for it.
type answer struct {
	status int
	coded  bool // with gzip
	stored bool // from its own memory
	files  bool // there is no upstream
}

var (
	whole     = answer{status: http.StatusOK}
	unchanged = answer{status: http.StatusNotModified}
	part      = answer{status: http.StatusPartialContent}
	coded     = answer{status: http.StatusOK, coded: true}
	kept      = answer{status: http.StatusOK, stored: true}          // a stored page
	confirmed = answer{status: http.StatusNotModified, stored: true} // a 304 from memory
)

func (a answer) fromFile() answer {
	a.files = true
	return a
}

// String is what a table says of it.
func (a answer) String() string {
	text := strconv.Itoa(a.status)
	switch {
	case a.stored:
		text += ", from memory"
	case a.files:
		text += ", a file"
	}
	return text
}

// condition is with which validator the requests come back: one that this server has sent itself. Who has sent none
// is asked without a condition, as a browser does.
type condition int

const (
	none condition = iota
	byTag
	byDate
)

// row is a scenario.
type row struct {
	name        string
	group       string // heading on the page
	means       string // for a site
	page        string // path at the upstream
	method      string // empty: GET
	fields      []string
	condition   condition
	tag         string // the tag that comes with the page is this one; empty: any, or none
	tool        tool
	connections int // 0: ten
	cpus        int // 0: one
	longer      int // a run takes this many times the seconds of others; 0: as many
	charted     bool
	short       bool // is in a short pass
	answers     map[kind]answer
}

// proxied are the answers of those who ask the upstream each time, and of nginx with files.
func proxied(files, others, ours answer) map[kind]answer {
	return map[kind]answer{
		nginxStatic: files.fromFile(), nginxProxy: others, varnish: others, caddy: others, directive: ours,
	}
}

// without leaves servers out.
func without(answers map[kind]answer, left ...kind) map[kind]answer {
	for _, k := range left {
		delete(answers, k)
	}
	return answers
}

// with adds servers or changes what they answer.
func with(answers map[kind]answer, a answer, added ...kind) map[kind]answer {
	for _, k := range added {
		answers[k] = a
	}
	return answers
}

func (r row) byTLS() bool { return r.tool != wrk }

// clients is how many connections are kept busy.
func (r row) clients() int {
	if r.connections == 0 {
		return 10
	}
	return r.connections
}

// processors is how many CPUs nginx and Caddy may use.
func (r row) processors() int { return max(1, r.cpus) }

func (r row) verb() string {
	if r.method == "" {
		return http.MethodGet
	}
	return r.method
}

// pageLength is how long the page is as a whole.
func (r row) pageLength() int64 {
	length, _ := strconv.ParseInt(r.page[strings.LastIndexByte(r.page, '/')+1:], 10, 64)
	return length
}

// partLength is how long the part is that rangeField asks for.
const (
	rangeField       = "Range: bytes=1000-1999"
	partLength int64 = 1000
)

// kindsOf are the servers that take part in a row, in the order of all.
func (r row) kindsOf() []kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool {
		_, takesPart := r.answers[k]
		return !takesPart
	})
}

// Matching are the names of the rows that match; only those of a short pass, if it is one and no names are given.
func matching(pattern *regexp.Regexp, short bool) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
		return !pattern.MatchString(r.name) || short && pattern.String() == "" && !r.short
	})
}

// Names of all rows, the site's among them.
func Names() (names []string) {
	for _, r := range rows {
		names = append(names, r.name)
	}
	return append(names, siteName)
}
