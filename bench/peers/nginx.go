package peers

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// nginxConf has what Caddy does by itself where nginx's defaults would be a disadvantage: connections to clients and to
// the upstream are kept, and none is closed after a number of requests. Whole pages are compressed for those who ask.
var nginxConf = template.Must(template.New("nginx").Parse(`daemon off;
{{if .Root}}user root;
{{end}}worker_processes {{.CPUs}};
worker_rlimit_nofile 16384;
pid {{.Dir}}/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
	access_log off;
	types { }
	default_type text/html;
	charset utf-8;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	sendfile on;
	tcp_nopush on;
	keepalive_timeout 75s;
	keepalive_requests 1000000000;
	gzip on;
	gzip_comp_level 5;
	upstream pages {
		server {{.Upstream}};
		keepalive 1024;
		keepalive_requests 1000000000;
	}
{{if .Cache}}	proxy_cache_path {{.Dir}}/cache keys_zone=pages:10m;
{{end}}	server {
		listen {{.Plain}};
		listen {{.TLS}} ssl http2;
		ssl_certificate {{.Certificate}};
		ssl_certificate_key {{.Key}};
{{if .Files}}		root {{.Files}};
{{else}}		location / {
			proxy_pass http://pages;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
{{if .Cache}}			proxy_cache pages;
			proxy_cache_revalidate on;
{{end}}		}
{{end}}	}
}
`))

// nginxText is the configuration of a kind of nginx; files is the folder that is served as it is.
func nginxText(k kind, p place, files string) (string, error) {
	if k != nginxStatic {
		files = ""
	}
	var text strings.Builder
	err := nginxConf.Execute(&text, map[string]any{
		"Root": os.Geteuid() == 0, "CPUs": p.cpus, "Dir": p.dir, "Upstream": p.upstream, "Cache": k == nginxCache,
		"Plain": p.plain, "TLS": p.tls, "Certificate": p.certificate.file, "Key": p.certificate.key, "Files": files,
	})
	return text.String(), err
}

func startNginx(ctx context.Context, k kind, p place, files string) (*rig.Process, error) {
	text, err := nginxText(k, p, files)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(p.dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return startProgram(ctx, p.plain, "nginx", "-e", "stderr", "-p", p.dir, "-c", config)
}
