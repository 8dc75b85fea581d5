package httpcond

import "testing"

func TestSizeOfWhole(t *testing.T) {
	for value, want := range map[string]int64{
		"bytes 0-4/36":             36,
		" BYTES 0-4/36\t":          36,
		"bytes */36":               36,
		"bytes 0-4/0":              0,
		"bytes 0-4/*":              -1,
		"bytes 0-4/":               -1,
		"bytes 0-4":                -1,
		"bytes /36":                -1,
		"bytes 0-4/-36":            -1,
		"bytes 0-4/36 or so":       -1,
		"items 0-4/36":             -1,
		"0-4/36":                   -1,
		"bytes":                    -1,
		"":                         -1,
		"bytes 0-4/99999999999999": 99999999999999,
	} {
		if got, ok := SizeOfWhole(value); ok != (want >= 0) || ok && got != want {
			t.Errorf("SizeOfWhole(%q) = %d, %t; want %d", value, got, ok, want)
		}
	}
}
