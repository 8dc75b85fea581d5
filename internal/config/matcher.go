package config

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func (h *Handler) checkResponseMatchers() error {
	for _, name := range slices.Sorted(maps.Keys(h.ResponseMatchers)) {
		if err := CheckResponseMatcher("@"+name, h.ResponseMatchers[name]); err != nil {
			return err
		}
	}
	return nil
}

// CheckResponseMatcher refuses a response matcher that matches everything, or nothing. The name has its @.
func CheckResponseMatcher(name string, m caddyhttp.ResponseMatcher) error {
	if len(m.StatusCode) == 0 && len(m.Headers) == 0 {
		return fmt.Errorf("response matcher %s matches everything; give it a status or a header", name)
	}
	for _, code := range m.StatusCode {
		if !IsFinalStatus(code) {
			return fmt.Errorf("response matcher %s: %d is not a final status code or a class such as 4 for 4xx", name, code)
		}
	}
	return nil
}

// IsFinalStatus reports whether a row may speak of a status: a code of RFC 9110 §15 but 1xx, which rows do not speak
// of, and 304, which stands for a 200; or the first digit of a class.
func IsFinalStatus(code int) bool {
	return code >= 200 && code <= 599 && code != http.StatusNotModified || code >= 2 && code <= 5
}
