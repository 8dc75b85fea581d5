package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

const caddyPackage = "github.com/conditionalcache/caddy-conditional-cache/cmd/caddy"

// Module is a part of Caddy's configuration, as in its JSON.
type Module map[string]any

// BuildCaddy builds Caddy with this module.
func BuildCaddy(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "caddy")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, caddyPackage) //nolint:gosec // the path is ours
	build.WaitDelay = EndTime
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	return binary, nil
}

// Caddy is a binary, and how it is started.
type Caddy struct {
	Binary      string
	Dir         string   // it writes nothing outside
	Environment []string // besides this process's own
}

// Start starts it with a configuration, and returns once it listens there.
func (c Caddy) Start(ctx context.Context, address string, configuration Module) (*Process, error) {
	config, err := json.Marshal(configuration)
	if err != nil {
		return nil, err
	}
	p, err := Start(ctx, func(cmd *exec.Cmd) error {
		cmd.Env = append(append(os.Environ(), "XDG_DATA_HOME="+c.Dir, "XDG_CONFIG_HOME="+c.Dir), c.Environment...)
		cmd.Stdin = bytes.NewReader(config)
		return nil
	}, c.Binary, "run", "--config", "-")
	if err != nil {
		return nil, err
	}
	p.Address = address
	return p, p.AwaitListening(ctx)
}

// Quiet is a configuration with these apps, without an admin endpoint and an access log, and with nothing to say but
// errors.
func Quiet(apps Module) Module {
	return Module{
		"admin":   Module{"disabled": true, "config": Module{"persist": false}},
		"logging": Module{"logs": Module{"default": Module{"level": "ERROR"}}},
		"apps":    apps,
	}
}

// Site is a server of Caddy that listens there and has these routes.
func Site(address string, routes []Module) Module {
	return Module{"listen": []string{address}, "automatic_https": Module{"disable": true}, "routes": routes}
}

// ProxyTo is reverse_proxy, with enough idle connections that none is dialled anew under the most clients.
func ProxyTo(address string) Module {
	return Module{
		"handler":   "reverse_proxy",
		"upstreams": []Module{{"dial": address}},
		"transport": Module{"protocol": "http", "keep_alive": Module{"max_idle_conns_per_host": 1024}},
	}
}

// Respond answers as another site does.
func Respond(status int, fields http.Header) Module {
	fields = fields.Clone()
	fields.Del("Server") // is in every answer
	return Module{"handler": "static_response", "status_code": status, "headers": fields}
}
