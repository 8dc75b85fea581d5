package capture

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// RFC 9110 §6.5: trailers arrive after a body that was streamed or held, announced or not (RFC 9110
// §6.6.2 makes the announcement a should). A response that announces trailers is not held to its end by
// the users of this package.
func TestTrailers(t *testing.T) {
	const sum = "X-Sum"
	tests := []struct {
		name     string
		key      string // what the handler sets
		decision Decision
		found    Found
	}{
		{"announced, streamed", sum, streamed(), Streamed},
		{"announced, spilled", sum, holding(3), Streamed},
		{"unannounced, streamed", http.TrailerPrefix + sum, streamed(), Streamed},
		{"unannounced, spilled", http.TrailerPrefix + sum, holding(3), Streamed},
		{"unannounced, held", http.TrailerPrefix + sum, holding(1 << 20), Held},
	}
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					f := newFront(&exchange{atHead: tt.decision}, func(w http.ResponseWriter, _ *http.Request) {
						if tt.key == sum {
							w.Header().Add("Trailer", "X-Other, "+sum)
						}
						writeBody(t, w)
						if tt.found == Streamed {
							// net/http counts a short body otherwise, and has no room for trailers then.
							must(t, 0, http.NewResponseController(w).Flush())
						}
						w.Header().Set(tt.key, "1")
						w.Header().Set("X-Late", "no trailer")
					})
					response, body := get(t, serve(t, p.major, f))
					equal(t, "found", (<-f.outcomes).Found, tt.found)
					equal(t, "body", body, "body")
					equal(t, "trailer", response.Trailer.Get(sum), "1")
					equal(t, "trailer among the fields", response.Header.Get(sum), "")
					equal(t, "late field", response.Header.Get("X-Late"), "")
					equal(t, "late field as trailer", response.Trailer.Get("X-Late"), "")
				})
			}
		})
	}
}

// Only late trailers need the flush that costs a held body its Content-Length.
func TestReleaseWithoutTrailersDoesNotFlush(t *testing.T) {
	for _, trailer := range []bool{false, true} {
		rec := httptest.NewRecorder()
		w, _ := start(t, rec, &exchange{atHead: holding(1 << 20)})
		writeBody(t, w)
		if trailer {
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}
		w.Settle()
		if w.LateTrailers() != trailer {
			t.Errorf("LateTrailers is %t, want %t", !trailer, trailer)
		}
		must(t, 0, w.Release())
		if rec.Flushed != trailer {
			t.Errorf("with trailers: %t, flushed: %t", trailer, rec.Flushed)
		}
		w.Close()
	}
}

// broken is a connection that is gone.
type broken struct{ *httptest.ResponseRecorder }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReleasePassesTheWriteError(t *testing.T) {
	w, _ := start(t, broken{httptest.NewRecorder()}, &exchange{atHead: holding(1 << 20)})
	defer w.Close()
	writeBody(t, w)
	w.Settle()
	if err := w.Release(); err != io.ErrClosedPipe { //nolint:errorlint // the bare value must come through
		t.Errorf("got %v", err)
	}
}
