package coding

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// Reason says what became of a response. The words are those of logs and metrics.
type Reason string

// Reasons.
const (
	// Coded: it went out in its coded form, which was kept or is kept now.
	Coded Reason = "coded"
	// FirstSight: the content has not come before, as far as is known.
	FirstSight Reason = "first_sight"

	// Type: encode would not code it, as its response matcher does not match. By default that is for types of text.
	Type Reason = "type"
	// Short: it is not longer than minimum_length.
	Short Reason = "short"
	// NoTransform: the response says no-transform.
	NoTransform Reason = "no_transform"
	// Accept: the client accepts none of the formats.
	Accept Reason = "accept"
	// Already: it has a Content-Encoding.
	Already Reason = "already_coded"
	// HeldNot: nothing was held that could be coded.
	HeldNot Reason = "held_not"
	// Large: it is longer than a quarter of max_bytes.
	Large Reason = "large"
	// Busy: all processors are coding, or another request codes the same content and takes too long.
	Busy Reason = "busy"
	// Failed: the encoder has failed.
	Failed Reason = "encoder_failed"
)

// Coder codes the responses of one handler. It may be used concurrently, and NewCoder makes it.
type Coder struct {
	// Log gets a line when an encoder fails, once a minute at most. It is the caller's to set before the first request.
	Log *zap.Logger

	options Options
	names   []string // of the formats
	logged  atomic.Int64
}

// Options say what a Coder codes, and how.
type Options struct {
	// Formats are in the order in which the server prefers them.
	Formats []Format
	// MinLength: what is not longer is not coded, in bytes.
	MinLength int
	// Matcher says what is coded.
	Matcher *caddyhttp.ResponseMatcher
	// Kept has what was coded.
	Kept *Kept
}

// NewCoder makes a Coder.
func NewCoder(o Options) *Coder {
	c := &Coder{Log: zap.NewNop(), options: o}
	for _, f := range o.Formats {
		c.names = append(c.names, f.Name)
	}
	return c
}

// Bars says why a response with this content is not coded for any client; empty: nothing bars it. These are the rules of
// Caddy's encode (v2.11.9), but for Large. A size below 0 is not known, and bars nothing.
func (c *Coder) Bars(status int, h http.Header, size int) Reason {
	switch {
	case slices.ContainsFunc(h["Content-Encoding"], func(line string) bool { return line != "" }):
		return Already
	case httpcond.HasDirective(h["Cache-Control"], "no-transform"):
		return NoTransform
	case !c.options.Matcher.Match(status, h):
		return Type
	case size >= 0 && size <= c.options.MinLength:
		return Short
	case int64(size) > c.options.Kept.maxBytes/4:
		return Large
	}
	return ""
}

// Negotiate returns the format that the request's client gets (RFC 9110 §12.5.3), as encode finds it; nil: it accepts none.
func (c *Coder) Negotiate(r *http.Request) *Format {
	for _, name := range encode.AcceptedEncodings(r, c.names) {
		if i := slices.Index(c.names, name); i >= 0 {
			return &c.options.Formats[i]
		}
	}
	return nil
}

// quiet is how long nothing is logged after an encoder has failed.
const quiet = time.Minute

// Get returns the coded form of a content, or why there is none: then it goes out as if there were no Coder. What is
// returned must not be changed.
func (c *Coder) Get(site string, f *Format, content []byte) ([]byte, Reason) {
	body, why, err := c.options.Kept.Get(site, f, content)
	if err != nil && c.mayLog(time.Now().UnixNano()) {
		c.Log.Error("encode_once: an encoder has failed, so that the page goes out as if encode_once were not there",
			zap.String("format", f.Name), zap.Error(err))
	}
	return body, why
}

func (c *Coder) mayLog(now int64) bool {
	before := c.logged.Load()
	return (before == 0 || now-before > int64(quiet)) && c.logged.CompareAndSwap(before, now)
}
