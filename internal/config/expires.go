package config

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Expires are the words of `expires`.
var Expires = Choice{Of: "expires", Words: []string{"auto", "off", "modified"}, On: "auto", Cure: cureOfExpires}

// CheckExpires checks the words of `expires` by themselves; modified is the duration behind the word of that name.
func CheckExpires(word string, modified caddy.Duration) error {
	if err := Expires.Check(word); err != nil {
		return err
	}
	lifetime := time.Duration(modified)
	switch {
	case word != "modified" && lifetime != 0:
		return errors.New("expires_modified goes with expires modified; remove it, or say modified")
	case word != "modified":
		return nil
	case lifetime <= 0 || lifetime%time.Second != 0 || lifetime/time.Second > math.MaxInt32:
		return fmt.Errorf("expires modified: %v is not a duration of whole seconds such as 1h, from 1 to 2147483647 of them", lifetime)
	}
	return nil
}

// cureOfExpires is what a lifetime is called here that nginx's directive of this name has; empty: it is none.
func cureOfExpires(word string) string {
	const too = ", which sets Expires, too"
	switch {
	case word == "max":
		return "cache_control max-age=365d" + too
	case word == "epoch" || strings.HasPrefix(word, "-"):
		return "cache_control no-cache" + too
	}
	value := strings.TrimPrefix(word, "+")
	if strings.Trim(value, "0123456789") == "" {
		return "cache_control max-age=" + value + too
	}
	if d, err := caddy.ParseDuration(value); err == nil && d >= time.Second {
		return "cache_control max-age=" + value + too
	}
	return ""
}

// checkModified refuses an `expires modified` that could never count.
func (h *Handler) checkModified() error {
	switch {
	case h.Expires != "modified":
		return nil
	case valueOr(h.LastModified).Mode == "remove":
		return errors.New("expires modified counts from Last-Modified, which last_modified remove takes off; keep one")
	}
	for _, config := range h.CacheControl {
		if row, err := config.compile(); err == nil && config.Selector() == "" && !row.Dated() {
			return errors.New("expires modified, and a cache_control line without a selector (or the max_age behind conditional_cache), both say how long every other response lasts; remove one")
		}
	}
	return nil
}
