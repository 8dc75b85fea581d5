package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// kind is a server with its configuration. Its value is its name in the tables.
type kind string

const (
	nginxStatic  kind = "nginx, files"
	nginxProxy   kind = "nginx, proxy"
	nginxCache   kind = "nginx, proxy_cache"
	varnish      kind = "Varnish"
	caddy        kind = "Caddy, proxy"
	directive    kind = "conditional_cache"
	remember     kind = "conditional_cache, remember"
	encodeOnce   kind = "conditional_cache, encode_once"
	cacheHandler kind = "Caddy, cache-handler"
)

// kinds are all, in the order in which they are measured and shown.
var kinds = []kind{nginxStatic, nginxProxy, nginxCache, varnish, caddy, directive, remember, encodeOnce, cacheHandler}

func (k kind) ours() bool { return k == directive || k == remember || k == encodeOnce }

// program is what has to be installed for it.
func (k kind) program() string {
	switch {
	case strings.HasPrefix(string(k), "nginx"):
		return "nginx"
	case k == varnish:
		return "varnishd"
	}
	return ""
}

// server is one that was started.
type server struct {
	*rig.Process

	kind kind
	tls  string // where it listens for HTTP/1.1 and 2 over TLS; empty: it does not
}

// start starts a server of a kind before the upstream, on as many CPUs as it may use.
func (l *lab) start(ctx context.Context, k kind, cpus int) (*server, error) {
	plain, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	secure, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(l.dir, "server-*")
	if err != nil {
		return nil, err
	}
	where := place{plain, secure, dir, l.certificate, l.upstream.Address, cpus}
	var p *rig.Process
	switch k.program() {
	case "nginx":
		p, err = startNginx(ctx, k, where, l.files)
	case "varnishd":
		where.tls = ""
		p, err = startVarnish(ctx, where)
	default:
		p, err = l.startCaddy(ctx, k, where)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	if where.tls != "" {
		err = p.AwaitListeningAt(ctx, where.tls)
	}
	return &server{p, k, where.tls}, err
}

// place is what every configuration is made from.
type place struct {
	plain, tls  string // addresses to listen on
	dir         string // of its own
	certificate certificate
	upstream    string
	cpus        int
}

// startProgram starts a program that ends itself, with its children, when it is asked to.
func startProgram(ctx context.Context, address, name string, arguments ...string) (*rig.Process, error) {
	p, err := rig.Start(ctx, func(cmd *exec.Cmd) error {
		rig.Gently(cmd)
		return nil
	}, name, arguments...)
	if err != nil {
		return nil, err
	}
	p.Address = address
	return p, p.AwaitListening(ctx)
}

// missing says of each kind that cannot take part why, in one line.
func (l *lab) missing(k kind) error {
	switch program := k.program(); {
	case program != "":
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is left out: %s is not installed; on Debian and Ubuntu: apt-get install %s", k, program, strings.TrimSuffix(program, "d"))
		}
	case k == cacheHandler && l.cacheHandler == "":
		return fmt.Errorf("%s is left out: %w", k, l.noCacheHandler)
	}
	return nil
}

// writeFiles writes the upstream's pages as files, for a server of files.
func writeFiles(dir string, rows []row) error {
	for _, r := range rows {
		if _, takesPart := r.answers[nginxStatic]; !takesPart {
			continue
		}
		text := rig.Page(r.page)
		if text == nil {
			return errors.New("no such page: " + r.page)
		}
		file := filepath.Join(dir, filepath.FromSlash(r.page))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // nginx reads it as another user
			return err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // the same
			return err
		}
	}
	return nil
}
