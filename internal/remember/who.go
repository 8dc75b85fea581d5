package remember

import (
	"net/http"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/freshness"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// A row of cache_control that says public is the operator's word: clients and caches may keep the response. It is not the
// upstream's, which alone knows whether cookies change the page. So it lets a request with cookies be remembered, but for
// those only who ask with the same ones: the record is selected by them as if the response had said Vary: Cookie. Nor does
// it speak for Authorization, certificates and users.

// byWho stands in a signpost for the cookies by which somebody is known. It is no field's name, as that has no space in it, and
// so the first of all.
const byWho = " who"

// whoAsks is a digest of the cookies by which somebody is known; empty for nobody. As it is part of a key, it leaves the
// store in no form.
func (m *Memory) whoAsks(h http.Header) string {
	who := m.Cookies.Who(&identity.Request{Cookie: h["Cookie"]}, (*identity.Key)(&m.Secret))
	return who.Digest()
}

// lifts returns the flags that a response has by what goes out, which is public by another word than the upstream's own.
func (v *Visit) lifts(out *freshness.Kept, flags validators.Flags) validators.Flags {
	v.byWho = out.Public && !flags.Has(validators.Cookies) && (selectsByWho(v.nominated) || v.m.hasCookies(v.request.Header))
	if v.byWho {
		flags |= validators.Cookies
	}
	return flags
}

// forbids reports whether what goes out forbids what the upstream allows: a row, or a handler outside, may say more.
func (v *Visit) forbids(out *freshness.Kept) bool { return out.Personal && !v.ForCookie }

func selectsByWho(nominated string) bool { return strings.HasPrefix(nominated, byWho) }

// selectors are the names that a record is selected by, besides those of its own Vary.
func (v *Visit) selectors() string {
	if !v.byWho || selectsByWho(v.nominated) {
		return v.nominated
	}
	if v.nominated == "" {
		return byWho
	}
	return byWho + "," + v.nominated
}

// own are the fields of a response that are not the word of a handler outside: that one speaks for the operator, as a row
// of cache_control does.
func (v *Visit) own(h http.Header) http.Header {
	lines := h["Cache-Control"]
	if len(lines) == 0 || !v.setOutside("Cache-Control", lines) {
		return h
	}
	own := make(http.Header, 6)
	for _, name := range [...]string{"Expires", "Pragma", "Vary", "Cdn-Cache-Control", "Surrogate-Control"} {
		if h[name] != nil {
			own[name] = h[name]
		}
	}
	return own
}
