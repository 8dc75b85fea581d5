package delivery_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

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

// TestFailed: some errors say that nothing was sent, whoever was asked.
func TestFailed(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, true},
		{"a connection that was not made", caddyhttp.Error(502, reverseproxy.NewDialError(errors.New("refused"))), false},
		{"a connection that broke", &net.OpError{Op: "read", Err: errors.New("reset")}, true},
		{"nobody to ask", errors.New("HTTP 503: no upstreams available"), false},
		{"another error", errors.New("no upstreams available, or so"), true},
	} {
		var d delivery.Delivery
		delivery.Begin(d.Watch(t.Context()))
		if d.Failed(tt.err); d.MayBeSent() != tt.want {
			t.Errorf("%s: it may have been sent: %t", tt.name, !tt.want)
		}
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
