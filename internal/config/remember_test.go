package config

import (
	"strings"
	"testing"
)

// TestSetCookiesAreIgnoredInRequestsToo: of a cookie that is not, there is a warning.
func TestSetCookiesAreIgnoredInRequestsToo(t *testing.T) {
	for name, c := range map[string]struct {
		cookies, set []string
		want         string
	}{
		"none":           {nil, nil, ""},
		"both":           {[]string{"a", "b"}, []string{"b"}, ""},
		"a longer one":   {[]string{"X*"}, []string{"XSRF-TOKEN", "X*", "XS*"}, ""},
		"one only":       {[]string{"b"}, []string{"a", "b", "c"}, "a c"},
		"a shorter one":  {[]string{"XSRF-TOKEN"}, []string{"X*"}, "X*"},
		"not all":        {[]string{"XS*"}, []string{"X*"}, "X*"},
		"no wildcard":    {[]string{"X"}, []string{"XSRF-TOKEN"}, "XSRF-TOKEN"},
		"of other cases": {[]string{"x*"}, []string{"XSRF-TOKEN"}, "XSRF-TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &Handler{Remember: &Remember{IgnoreCookies: c.cookies, IgnoreSetCookie: c.set}}
			switch got := h.Warnings(); {
			case c.want == "" && got != nil:
				t.Errorf("got %+v", got)
			case c.want == "":
			case len(got) != 1 || got[0].Row != NoRow || got[0].Of != OfSetCookie || !strings.HasSuffix(got[0].Text, "add ignore_cookies "+c.want):
				t.Errorf("got %+v", got)
			}
		})
	}
}
