package peers

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// varnishText is a VCL that keeps pages for as long as they say. What says nothing is asked for each time, as the
// others do, and not kept for Varnish's two minutes.
func varnishText(upstream string) (string, error) {
	host, port, err := net.SplitHostPort(upstream)
	return fmt.Sprintf(`vcl 4.1;

backend default {
	.host = "%s";
	.port = "%s";
}

sub vcl_backend_response {
	if (bereq.url ~ "^/text/") {
		set beresp.do_gzip = true;
	}
	if (!beresp.http.Cache-Control && !beresp.http.Expires) {
		set beresp.uncacheable = true;
		set beresp.ttl = 1h;
		return (deliver);
	}
}
`, host, port), err
}

func startVarnish(ctx context.Context, p place) (*rig.Process, error) {
	text, err := varnishText(p.upstream)
	if err != nil {
		return nil, err
	}
	vcl := filepath.Join(p.dir, "pages.vcl")
	if err := os.WriteFile(vcl, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return startProgram(ctx, p.plain, "varnishd", "-F", "-j", "none", "-n", filepath.Join(p.dir, "varnish"),
		"-a", p.plain, "-f", vcl, "-s", "malloc,256m", "-p", "gzip_level=5")
}
