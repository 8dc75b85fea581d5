package peers

import (
	"context"
	"fmt"
	"slices"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// startCaddy starts a Caddy of a kind.
func (l *lab) startCaddy(ctx context.Context, k kind, p place) (*rig.Process, error) {
	binary := l.caddy
	if k == cacheHandler {
		binary = l.cacheHandler
	}
	run := rig.Caddy{Binary: binary, Dir: p.dir, Environment: []string{fmt.Sprintf("GOMAXPROCS=%d", p.cpus)}}
	return run.Start(ctx, p.plain, caddyConfiguration(k, p))
}

// caddyConfiguration is that of a kind of Caddy: two servers with the same routes, one of them with TLS.
func caddyConfiguration(k kind, p place) rig.Module {
	routes := []rig.Module{
		{
			"match": []rig.Module{{"path": []string{"/text/*"}}},
			"handle": []rig.Module{{
				"handler": "encode", "encodings": rig.Module{"gzip": rig.Module{"level": 5}}, "prefer": []string{"gzip"},
			}},
		},
		{"handle": slices.Concat(handlersOf(k), []rig.Module{rig.ProxyTo(p.upstream)})},
	}
	secure := rig.Site(p.tls, routes)
	secure["tls_connection_policies"] = []rig.Module{{}}
	apps := rig.Module{
		"http": rig.Module{"servers": rig.Module{"plain": rig.Site(p.plain, routes), "tls": secure}},
		"tls": rig.Module{"certificates": rig.Module{"load_files": []rig.Module{
			{"certificate": p.certificate.file, "key": p.certificate.key},
		}}},
	}
	if k == cacheHandler {
		apps["cache"] = rig.Module{}
	}
	return rig.Quiet(apps)
}

// handlersOf are those before the proxy.
func handlersOf(k kind) []rig.Module {
	switch k {
	case directive:
		return []rig.Module{{"handler": "conditional_cache"}}
	case remember:
		return []rig.Module{{"handler": "conditional_cache", "remember": rig.Module{}}}
	case encodeOnce:
		once := rig.Module{"encodings": rig.Module{"gzip": rig.Module{"level": 5}}}
		return []rig.Module{{"handler": "conditional_cache", "encode_once": once}}
	case cacheHandler:
		return []rig.Module{{"handler": "cache"}}
	default:
		return nil
	}
}
