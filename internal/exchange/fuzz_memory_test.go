package exchange_test

import (
	"net/http"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
)

// What a memory may answer, and to whom (RFC 9111 §3, §3.5, §4.1, §4.4).

// checkRecalled: a 304 without a word of the upstream is of a response that may be remembered, for who asks.
func (x *handlerTrial) checkRecalled(a *answered) {
	says, asks := directivesIn(x.script.header["Cache-Control"]), directivesIn(a.fields["Cache-Control"])
	public := says["public"] || says == nil
	switch {
	case !x.config.memory:
		x.t.Errorf("the upstream was not asked, and there is no memory")
	case a == x.answer && x.script.end != 0:
		x.t.Errorf("an answer from memory, of a response that broke off")
	case says["private"] || says["no-store"] || says["no-cache"]:
		x.t.Errorf("an answer from memory, of a response with Cache-Control: %q", x.script.header["Cache-Control"])
	case x.script.header["Set-Cookie"] != nil || listOf(x.script.header["Vary"])["*"]:
		x.t.Errorf("an answer from memory, of a response with Set-Cookie or Vary: *")
	case asks["no-store"] || asks["no-cache"]:
		x.t.Errorf("an answer from memory, to Cache-Control: %q", a.fields["Cache-Control"])
	case a.fields["Authorization"] != nil && !public && !says["must-revalidate"] && !hasLifetime(says, "s-maxage"):
		x.t.Errorf("an answer from memory, to a request with Authorization")
	case a.fields["Cookie"] != nil && !public && !listOf(x.script.header["Vary"])["cookie"] && !x.isSameUser(a):
		x.t.Errorf("an answer from memory, to a request with Cookie")
	}
}

// isSameUser reports whether a row says public, which lifts the rule on cookies, and who asks has asked before.
func (x *handlerTrial) isSameUser(a *answered) bool {
	return x.config.rows && reflect.DeepEqual(a.fields["Cookie"], x.whole.fields["Cookie"])
}

// directivesIn are the members of a Cache-Control; nil where something is quoted, and nothing is certain.
func directivesIn(lines []string) map[string]bool {
	if strings.Contains(strings.Join(lines, ","), `"`) {
		return nil
	}
	return listOf(lines)
}

func hasLifetime(directives map[string]bool, name string) bool {
	for directive := range directives {
		if strings.HasPrefix(directive, name) {
			return true
		}
	}
	return false
}

// askOthers asks by the tag of the whole in the name of others, whose requests select another representation, or may.
func (x *handlerTrial) askOthers() {
	etag := x.whole.header.Get("Etag")
	if !x.config.memory || !isTag(etag) {
		return
	}
	nominated := false
	byVary := x.asking(etag)
	for name := range listOf(x.script.header["Vary"]) {
		if maySelect(name) {
			nominated = true
			byVary.Header[textproto.CanonicalMIMEHeaderKey(name)] = []string{"another"}
		}
	}
	if nominated {
		other := x.ask(x.config, byVary)
		if x.check(other); len(other.calls) == 0 {
			x.t.Errorf("an answer from memory, to another value of what Vary: %q nominates", x.script.header["Vary"])
		}
	}
	for _, name := range []string{"Cookie", "Authorization"} {
		r := x.asking(etag)
		r.Header[name] = []string{"of=another"}
		x.check(x.ask(x.config, r))
	}
}

// asking is a GET that asks by a tag alone.
func (x *handlerTrial) asking(etag string) *http.Request {
	r := x.unconditional()
	r.Header["If-None-Match"] = []string{etag}
	return r
}

// maySelect reports whether a field can have another value without making the request one of another kind.
func maySelect(name string) bool {
	kinds := []string{"*", "connection", "content-length", "host", "transfer-encoding", "upgrade", "range"}
	return !slices.Contains(kinds, name) && !strings.HasPrefix(name, "if-")
}

// wantForgotten: after a write that may have changed something, nobody is told from memory that nothing has.
func (x *handlerTrial) wantForgotten() {
	etag, code := x.whole.header.Get("Etag"), x.answer.code()
	if !x.config.memory || !isTag(etag) || x.answer.written() == 0 || isSafe(x.answer.method) || code >= 400 {
		return
	}
	if after := x.ask(x.config, x.asking(etag)); len(after.calls) == 0 {
		x.t.Errorf("an answer from memory after a %s that was answered with %d", x.answer.method, code)
	}
}

// isSafe reports whether a method is registered as one that changes nothing.
func isSafe(method string) bool {
	return slices.Contains([]string{"CONNECT", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY", "PRI"}, method)
}
