package exchange_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// endless sends events until it is told to stop, or until far more than anybody would discard was sent.
func endless(mediaType string, sent *int) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		addPairs(w.Header(), pairs("Content-Type", mediaType))
		return hauls(w, 4<<20, sent)
	}
}

// hauls writes n bytes in pieces of 1 KiB, and counts those that were taken.
func hauls(w io.Writer, n int, taken *int) error {
	piece := make([]byte, 1<<10)
	for range n >> 10 {
		if _, err := w.Write(piece); err != nil {
			return err
		}
		*taken += len(piece)
	}
	return nil
}

func TestHeadAsGetEndsTheTransfer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		next  func(*int) caddyhttp.HandlerFunc
		limit int
	}{
		{"events", func(n *int) caddyhttp.HandlerFunc { return endless("text/event-stream", n) }, 0},
		{"frames", func(n *int) caddyhttp.HandlerFunc { return endless("multipart/x-mixed-replace", n) }, 0},
		{"over max_body", func(n *int) caddyhttp.HandlerFunc { return endless("text/plain", n) }, 1 << 20},
		{"declared over max_body", func(n *int) caddyhttp.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) error {
				addPairs(w.Header(), pairs("Content-Length", "4194304"))
				return endless("text/plain", n)(w, r)
			}
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := 0
			h := provisioned(t, &Handler{Head: "get", Buffer: &Buffer{MaxBody: 32 << 10}})
			v := newVisit(t, "HEAD", "/").to(h, tt.next(&sent))
			if sent > tt.limit || v.status() != 200 || v.rec.Body.Len() > 0 || v.rec.Header().Get("Etag") != "" {
				t.Errorf("%d bytes were taken; %d with %v", sent, v.status(), v.rec.Header())
			}
		})
	}
}

// A part of a long body is cut out of it as it passes, and the transfer ends with its last byte.
func TestSliceEndsTheTransfer(t *testing.T) {
	const length = 100 << 20
	for _, tt := range []struct {
		name, asked string
		want, most  int
	}{
		{"at the beginning", "bytes=0-9", 10, 1 << 20},
		{"behind a megabyte", "bytes=1048576-1048585", 10, 2 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			taken := 0
			v := newVisit(t, http.MethodGet, "/", "Range", tt.asked)
			v.to(provisioned(t, &Handler{Ranges: "stream"}), func(w http.ResponseWriter, _ *http.Request) error {
				addPairs(w.Header(), pairs("Content-Type", "video/mp4", "Etag", `"v"`, "Content-Length", strconv.Itoa(length)))
				if err := hauls(w, length, &taken); err != nil {
					panic(http.ErrAbortHandler) // as reverse_proxy does
				}
				return nil
			})
			if v.panicked != nil || v.err != nil {
				t.Errorf("panic %v, error %v", v.panicked, v.err)
			}
			if v.rec.Code != http.StatusPartialContent || v.rec.Body.Len() != tt.want {
				t.Errorf("status %d, %d bytes", v.rec.Code, v.rec.Body.Len())
			}
			if taken > tt.most {
				t.Errorf("%d bytes were hauled", taken)
			}
		})
	}
}

// An upstream that falls silent behind an answer is told so by the end of the request's context.
func TestSilentUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		v := newVisit(t, http.MethodGet, "/", "If-None-Match", `"a"`)
		v.to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
			addPairs(w.Header(), pairs("Etag", `"a"`))
			w.WriteHeader(http.StatusOK)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
		if v.rec.Code != http.StatusNotModified || v.panicked != nil {
			t.Errorf("status %d, panic %v", v.rec.Code, v.panicked)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if v.r.Context().Err() != nil {
			t.Error("the request is left with a context that has ended")
		}
	})
}

// A handler inside sees the deadline that one outside has set.
func TestDeadlineOfTheRequest(t *testing.T) {
	v := newVisit(t, http.MethodGet, "/", "If-None-Match", `"a"`)
	ctx, cancel := context.WithTimeout(v.r.Context(), time.Hour)
	defer cancel()
	v.r = v.r.WithContext(ctx)
	want, _ := ctx.Deadline()
	v.to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
		if got, ok := r.Context().Deadline(); !ok || !got.Equal(want) {
			t.Errorf("the deadline is %v, want %v", got, want)
		}
		return sendsPage()(w, r)
	})
}

// Who has a 304 may leave before the upstream is done: that is no abort. Before there is an answer it is.
func TestClientLeaves(t *testing.T) {
	for name, tt := range map[string]struct {
		answered bool
		fields   []string
		want     error
	}{
		"with a 304":               {true, pairs("If-None-Match", `"a"`), nil},
		"before the head":          {false, pairs("If-None-Match", `"a"`), context.Canceled},
		"in the middle of a 200":   {true, pairs("If-None-Match", `"b"`), context.Canceled},
		"in the middle of its own": {true, nil, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVisit(t, http.MethodGet, "/", tt.fields...)
				ctx, leave := context.WithCancel(v.r.Context())
				v.r = v.r.WithContext(ctx)
				v.to(provisioned(t, nil), func(w http.ResponseWriter, r *http.Request) error {
					addPairs(w.Header(), pairs("Etag", `"a"`))
					if tt.answered {
						w.WriteHeader(http.StatusOK)
					}
					leave()
					synctest.Wait()
					if got := r.Context().Err(); !errors.Is(got, tt.want) {
						t.Errorf("the upstream's context: %v, want %v", got, tt.want)
					}
					return nil
				})
			})
		})
	}
}
