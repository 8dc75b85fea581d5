package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// cacheHandlerMain is the program that xcaddy would build.
const cacheHandlerMain = `package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddyserver/cache-handler"
)

func main() { caddycmd.Main() }
`

// obtainCacheHandler is a Caddy with cache-handler: the given binary, or one that is built in a module of its own, as
// xcaddy does. The error says why there is none.
func obtainCacheHandler(ctx context.Context, given, dir string) (string, error) {
	switch given {
	case "":
		return "", errors.New("-cache-handler names no binary, and does not say build")
	case "build":
	default:
		return exec.LookPath(given)
	}
	dir = filepath.Join(dir, "cache-handler")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(cacheHandlerMain), 0o600); err != nil {
		return "", err
	}
	for _, arguments := range [][]string{
		{"mod", "init", "caddy"}, {"get", "github.com/caddyserver/cache-handler@latest"}, {"mod", "tidy"}, {"build", "-o", "caddy", "."},
	} {
		build := exec.CommandContext(ctx, "go", arguments...) //nolint:gosec // the arguments are ours
		build.Dir, build.WaitDelay = dir, time.Second
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("it cannot be built: go %s: %s", strings.Join(arguments, " "), firstLine(string(out), err))
		}
	}
	return filepath.Join(dir, "caddy"), nil
}

// firstLine is what a program has said first that is no news of its progress, or how it has ended.
func firstLine(said string, err error) string {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "go: downloading") && !strings.HasPrefix(line, "go: added") {
			return line
		}
	}
	return err.Error()
}
