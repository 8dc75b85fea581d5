package exchange_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	conditionalcache "github.com/conditionalcache/caddy-conditional-cache"
)

// What handlers are configured with.
type (
	Handler            = conditionalcache.Handler
	Buffer             = conditionalcache.Buffer
	CacheControl       = conditionalcache.CacheControl
	OneOrMore          = conditionalcache.OneOrMore
	Delay              = conditionalcache.Delay
	ETag               = conditionalcache.ETag
	EncodeOnce         = conditionalcache.EncodeOnce
	GuardWrites        = conditionalcache.GuardWrites
	LastModified       = conditionalcache.LastModified
	LastModifiedSource = conditionalcache.LastModifiedSource
	NotModified        = conditionalcache.NotModified
	Ranges             = conditionalcache.Ranges
	Remember           = conditionalcache.Remember
)

// What a handler does that is configured with nothing else.
const (
	defaultMaxBody  = 4 << 20
	defaultMaxDelay = 200 * time.Millisecond
)

// plain is a configuration of Caddy without any apps.
var plain = sync.OnceValues(func() (caddy.Context, error) { return configured(nil) })

// configured readies a configuration of Caddy that logs to the test that watches, if one does.
func configured(apps caddy.ModuleMap) (caddy.Context, error) {
	return caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		AppsRaw: apps,
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{
			WriterRaw: json.RawMessage(`{"output": "discard"}`),
			CoreRaw:   json.RawMessage(`{"module": "watched"}`),
		}}}},
	})
}

// provisioned readies a handler as Caddy does; nil is the bare directive.
func provisioned(tb testing.TB, h *Handler) *Handler {
	tb.Helper()
	under, err := plain()
	if err != nil {
		tb.Fatal(err)
	}
	return provisionedUnder(tb, under, h)
}

// bounded readies a handler of a process that holds maxTotal bytes at the most.
func bounded(tb testing.TB, maxTotal int64, h *Handler) *Handler {
	tb.Helper()
	under, err := configured(caddy.ModuleMap{"conditional_cache": fmt.Appendf(nil, `{"max_total": %d}`, maxTotal)})
	if err != nil {
		tb.Fatal(err)
	}
	return provisionedUnder(tb, under, h)
}

// provisionedUnder readies a handler of a configuration that others may share.
func provisionedUnder(tb testing.TB, under caddy.Context, h *Handler) *Handler {
	tb.Helper()
	if h == nil {
		h = new(Handler)
	}
	// Nothing that may be shared makes a channel, which would belong to the synctest bubble that it is made in.
	under.Context = context.Background()
	ctx, cancel := caddy.NewContext(under)
	tb.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		tb.Fatal(err)
	}
	return h
}

// inBlock readies a handler that stands in a block of this name. The handler itself stays as it is.
func inBlock(tb testing.TB, block string, h *Handler) *Handler {
	tb.Helper()
	in := *h
	in.Block = block
	return provisioned(tb, &in)
}

// watched are the lines that handlers log from here on, until the test ends. No two tests can watch at one time.
func watched(t *testing.T) *observer.ObservedLogs {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	if !watcher.CompareAndSwap(nil, &core) {
		t.Fatal("another test is watching")
	}
	t.Cleanup(func() { watcher.Store(nil) })
	return logs
}

// watcher is of the test that watches; nil: nothing is logged.
var watcher atomic.Pointer[zapcore.Core]

// watchedCore is the core of Caddy's log, with the fields that were added to a logger.
type watchedCore struct{ fields []zapcore.Field }

func init() { caddy.RegisterModule(new(watchedCore)) }

// CaddyModule returns the Caddy module information.
func (*watchedCore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.cores.watched", New: func() caddy.Module { return new(watchedCore) }}
}

func (*watchedCore) Enabled(level zapcore.Level) bool {
	core := watcher.Load()
	return core != nil && (*core).Enabled(level)
}

func (c *watchedCore) With(fields []zapcore.Field) zapcore.Core {
	return &watchedCore{fields: slices.Concat(c.fields, fields)}
}

func (c *watchedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *watchedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	core := watcher.Load()
	if core == nil {
		return nil
	}
	return (*core).Write(entry, slices.Concat(c.fields, fields))
}

func (*watchedCore) Sync() error { return nil }
