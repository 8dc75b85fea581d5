package delivery_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/delivery"
)

// TestMayBeSent: a request was sent once there was a connection to send it by; who does not tell may have sent it.
func TestMayBeSent(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	refusing, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refusing.Close()
	for _, tt := range []struct {
		name string
		urls []string
		want bool
	}{
		{"never tried", nil, true},
		{"answered", []string{server.URL}, true},
		{"refused", []string{"http://" + refusing.Addr().String()}, false},
		{"answered, then refused", []string{server.URL, "http://" + refusing.Addr().String()}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d delivery.Delivery
			var inner delivery.Delivery
			ctx := inner.Watch(d.Watch(t.Context()))
			ask(t, ctx, server.URL) // of which nothing counts
			if d.MayBeSent() {
				t.Error("it has not begun")
			}
			delivery.Begin(ctx)
			for _, url := range tt.urls {
				ask(t, ctx, url)
			}
			if got := d.MayBeSent(); got != tt.want || inner.MayBeSent() != got {
				t.Errorf("it may have been sent: %t, want %t", got, tt.want)
			}
		})
	}
}

// ask sends a request, which may fail.
func ask(t *testing.T, ctx context.Context, url string) { //nolint:revive // the test comes first
	t.Helper()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := transport.RoundTrip(r); err == nil {
		_ = response.Body.Close()
	}
}
