package httpcond

import (
	"iter"
	"slices"
	"strings"
)

// AcceptsCoding reports whether an Accept-Encoding field lets the response be
// content-coded: it has a coding other than identity, or `*`, whose weight is
// not zero (RFC 9110 §12.5.3, §12.4.2). A weight that cannot be read counts as
// not zero: whoever codes the response may read it so, and the answer is used
// to be careful.
func AcceptsCoding(lines []string) bool {
	for member := range members(lines) {
		coding, params, _ := strings.Cut(member, ";")
		coding = trimOWS(coding)
		if coding != "" && !equalFold(coding, "identity") && !zeroWeight(params) {
			return true
		}
	}
	return false
}

// zeroWeight reports whether the parameters of a member contain q=0, q=0.0 …
func zeroWeight(params string) bool {
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(param, "=")
		if equalFold(trimOWS(name), "q") {
			return isZero(trimOWS(value))
		}
	}
	return false
}

func isZero(s string) bool {
	whole, fraction, _ := strings.Cut(s, ".")
	return whole == "0" && strings.Trim(fraction, "0") == ""
}

// MediaType returns the type/subtype of a Content-Type value in lower case,
// without parameters (RFC 9110 §8.3.1), and "" when there is none. It allocates
// only to change the case.
func MediaType(contentType string) string {
	if typ, _ := splitMediaType(contentType); typ == "" {
		return ""
	}
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(trimOWS(mediaType))
}

// splitMediaType returns the two tokens as written, or none.
func splitMediaType(contentType string) (typ, subtype string) {
	mediaType, _, _ := strings.Cut(contentType, ";")
	typ, subtype, _ = strings.Cut(trimOWS(mediaType), "/")
	if !IsToken(typ) || !IsToken(subtype) {
		return "", ""
	}
	return typ, subtype
}

// MatchMediaType reports whether a Content-Type value is of the media range
// pattern: "type/subtype", "type/*" or "*/*", in lower case. A value without a
// media type matches nothing, not even "*/*".
func MatchMediaType(pattern, contentType string) bool {
	typ, subtype := splitMediaType(contentType)
	wantType, wantSubtype, _ := strings.Cut(pattern, "/")
	if typ == "" || wantType == "" || wantSubtype == "" {
		return false
	}
	if pattern == "*/*" {
		return true
	}
	return equalFold(wantType, typ) && (wantSubtype == "*" || equalFold(wantSubtype, subtype))
}

// OnlyVariesOn reports whether a Vary field is absent or names nothing but
// fields, field names in any case; empty members do not count (RFC 9110
// §12.5.5, §5.6.1.2). `*` names everything.
func OnlyVariesOn(lines []string, fields ...string) bool {
	for member := range members(lines) {
		if !slices.ContainsFunc(fields, func(field string) bool { return equalFold(member, field) }) {
			return false
		}
	}
	return true
}

// VariesOn reports whether a Vary field names field, a field name in any case,
// or everything (RFC 9110 §12.5.5).
func VariesOn(lines []string, field string) bool {
	for member := range members(lines) {
		if member == "*" || equalFold(member, field) {
			return true
		}
	}
	return false
}

// members are those of a list that is spread over lines, without the empty ones
// (RFC 9110 §5.6.1.2). It is for lists in which no member has a quoted string.
func members(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for member := range strings.SplitSeq(line, ",") {
				if member = trimOWS(member); member != "" && !yield(member) {
					return
				}
			}
		}
	}
}
