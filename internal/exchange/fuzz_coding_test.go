package exchange_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/zstd"
	"github.com/klauspost/compress/zstd"
)

// digestFields are those that encode_once removes from what it codes.
var digestFields = []string{"Repr-Digest", "Content-Digest", "Digest", "Content-Md5"}

// decode judges an answer that encode_once has coded, and makes it what it was made of, for all other checks.
func (x *handlerTrial) decode(a *answered) {
	coding := a.sent.Get("Content-Encoding")
	if !x.config.codes || a.status != http.StatusOK || strings.Join(x.script.header["Content-Encoding"], "") != "" || coding == "" {
		return
	}
	x.wantCoded(a, coding)
	a.coding = coding
	if a.method == http.MethodHead {
		a.body = nil
	} else {
		content, err := decodedAs(coding, a.body)
		if err != nil {
			x.t.Errorf("what is coded with %s does not decode: %v", coding, err)
		}
		a.body, a.length = content, int64(len(content))
	}
	for _, fields := range []http.Header{a.sent, a.header} {
		delete(fields, "Content-Encoding")
		fields["Content-Length"] = []string{strconv.Itoa(len(a.body))}
		if tag := fields.Get("Etag"); !strings.HasPrefix(tag, "W/") {
			fields["Etag"] = []string{strings.TrimSuffix(tag, "-"+coding+`"`) + `"`}
		}
	}
}

// wantCoded is what holds of every coded answer: the client accepts that, and everybody on the way can tell.
func (x *handlerTrial) wantCoded(a *answered, coding string) {
	tag := a.sent.Get("Etag")
	accepts := listOf(a.fields["Accept-Encoding"])
	switch {
	case !strings.Contains(strings.ToLower(strings.Join(a.fields["Accept-Encoding"], ",")), coding) && !strings.Contains(strings.Join(a.fields["Accept-Encoding"], ","), "*"), accepts[coding+";q=0"]:
		x.t.Errorf("coded with %s for Accept-Encoding: %q", coding, a.fields["Accept-Encoding"])
	case a.method == http.MethodGet && (a.length != int64(len(a.body)) || a.writes != 1):
		x.t.Errorf("%d octets in %d writes, with Content-Length: %d", len(a.body), a.writes, a.length)
	case !listOf(a.sent["Vary"])["accept-encoding"]:
		x.t.Errorf("it is coded, and Vary is %q", a.sent["Vary"])
	case tag != "" && !strings.HasPrefix(tag, "W/") && !strings.HasSuffix(tag, "-"+coding+`"`):
		x.t.Errorf("coded octets have the tag %s", tag)
	case a.sent["Accept-Ranges"] != nil || slices.ContainsFunc(digestFields, func(name string) bool { return a.sent[name] != nil }):
		x.t.Errorf("coded octets have fields of others: %v", a.sent)
	case listOf(x.script.header["Cache-Control"])["no-transform"]:
		x.t.Errorf("it is coded, under Cache-Control: %q", x.script.header["Cache-Control"])
	}
}

func decodedAs(coding string, body []byte) ([]byte, error) {
	var from io.Reader
	var err error
	if from, err = gzip.NewReader(bytes.NewReader(body)); coding == "zstd" {
		from, err = zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(from)
}
