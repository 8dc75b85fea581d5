package adminapi

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// parseURL reads an absolute http or https URL as a client would send it, since that is what records are kept
// under; the scheme does not matter beyond that. What could never be met is refused with what to write instead.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		cause := new(url.Error)
		if errors.As(err, &cause) {
			err = cause.Err // the rest of it is the text once more
		}
		return nil, fmt.Errorf("%q is not a URL: %w", text, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not a whole URL; write it with its scheme and host, as in https://example.com/page", text)
	}
	return u, checkURL(text, u)
}

// checkURL refuses what no request has, or what was meant as a pattern.
func checkURL(text string, u *url.URL) error {
	switch {
	case u.User != nil:
		return fmt.Errorf("%q has a user; leave it out, as requests are not told apart by it", u.Redacted())
	case strings.Contains(text, "#"):
		return fmt.Errorf("%q has a fragment, which clients keep to themselves; leave it out", text)
	case strings.ContainsFunc(u.Host, notASCII):
		return fmt.Errorf("the host of %q has to be as clients send it, in Punycode: xn--…", text)
	case strings.Contains(u.Host, "*"):
		return fmt.Errorf("%q: a host is not a pattern; send one purge for each host, or purge all", text)
	case strings.ContainsFunc(u.Host, notInHost):
		return fmt.Errorf("%q: no host is called so", text)
	case strings.HasSuffix(text, "*"):
		return fmt.Errorf("%q: there are no patterns; a prefix covers all below its path (an asterisk that is meant is written %%2A)", text)
	case strings.ContainsFunc(u.RawQuery, notInQuery):
		return fmt.Errorf("the query of %q has to be percent-encoded as clients send it", text)
	}
	return nil
}

func notASCII(r rune) bool { return r > '~' }

func notInHost(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._~%[]:", unicode.ToLower(r))
}

func notInQuery(r rune) bool { return r <= ' ' || r > '~' }
