//go:build !race

// The race detector changes nothing of what is measured here, but makes it take minutes.

package memory_test

import "testing"

// Twice, as what is saved a second time is kept in another form.
func TestRecordsAreSmall(t *testing.T) {
	const most = 300
	if bytes := bytesPerRecord(t, 250_000, 2); bytes > most {
		t.Errorf("%.1f bytes a record, which should be at most %d", bytes, most)
	} else {
		t.Logf("%.1f bytes a record", bytes)
	}
}
