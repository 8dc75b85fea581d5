package policy

import "testing"

// TestIsWrite: what is not known to leave a representation alone may change it.
func TestIsWrite(t *testing.T) {
	for method, want := range map[string]bool{
		"GET": false, "HEAD": false, "OPTIONS": false, "TRACE": false, "CONNECT": false,
		"PUT": true, "PATCH": true, "DELETE": true, "POST": true, "LOCK": true, "get": true, "": true,
	} {
		if got := IsWrite(method); got != want {
			t.Errorf("%q: %v", method, got)
		}
	}
}
