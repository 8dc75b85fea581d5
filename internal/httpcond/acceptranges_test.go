package httpcond

import (
	"strings"
	"testing"
)

// RFC 9110 §14.3; several lines where there are line breaks.
func TestAcceptsNoRanges(t *testing.T) {
	for value, want := range map[string]bool{
		"none": true, "None": true, " none\t": true, ",none,": true, "none, none": true, "none\nnone": true,
		"": false, "bytes": false, "bytes, none": false, "none, bytes": false, "none\nbytes": false, "nonesuch": false, "items": false,
	} {
		if got := AcceptsNoRanges(strings.Split(value, "\n")); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if AcceptsNoRanges(nil) {
		t.Error("a field that is not there says none")
	}
}
