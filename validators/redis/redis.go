package redis

import (
	"context"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func init() {
	caddy.RegisterModule(new(Redis))
}

// Redis is a store that keeps records at a Redis server, or one that speaks its protocol, so that many nodes share
// them. What was used before is answered from the memory of this process, and the server tells it of changes.
//
// Nothing is connected before the first request that needs it. While the server cannot be reached, requests are
// served as if nothing were remembered. All texts may have placeholders such as {env.*} and {file.*}, which are
// replaced when the configuration is loaded.
type Redis struct {
	// Address is where the server is: host:port (the port is 6379 by default) or unix//path. Several are nodes
	// of a cluster, of which one suffices, or sentinels if Sentinel is given.
	Address []string `json:"address,omitempty"`
	// Sentinel is the name under which the sentinels at Address know the primary. They are asked without a password.
	Sentinel string `json:"sentinel,omitempty"`
	// Username is the user of the server's access control list. Default: the server's default user.
	Username string `json:"username,omitempty"`
	// Password of the user. It appears in no log and no error. Default: none.
	Password string `json:"password,omitempty"`
	// TLS is how the connection is encrypted. Default: it is not.
	TLS *TLS `json:"tls,omitempty"`
	// DB is the number of the database. A cluster has only 0. Default: 0.
	DB int `json:"db,omitempty"`
	// KeyPrefix is what all keys begin with. Stores with the same prefix share their records. Default:
	// "conditional_cache:".
	KeyPrefix string `json:"key_prefix,omitempty"`
	// Timeout is how long a request waits for the server at most, from 1ms to 5s. Default: 50ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// LocalCache is how many bytes of this process's memory are used for copies of what is at the server, on each
	// connection: there is one to each node of a cluster, and else one. From 1 MiB. Default: 128 MiB.
	LocalCache int64 `json:"local_cache,omitempty"`
	// MaxFirstSeen is how many dates of `first_seen` the server keeps for each handler with a configuration of its own, at
	// some 320 bytes each. When there are so many, what is new has no date. Default: 100000.
	MaxFirstSeen int `json:"max_first_seen,omitempty"`

	store *store
	key   string
	name  string
	// detach takes this module's logger from the store. It is nil while nothing is acquired.
	detach func()
}

// TLS is how the connection to the server is encrypted. The server's certificate is always verified.
type TLS struct {
	// CA are PEM files with the authorities that may have issued the server's certificate. Default: those of
	// the system.
	CA []string `json:"ca,omitempty"`
	// ClientCertificate and ClientKey are PEM files that this process proves itself with.
	ClientCertificate string `json:"client_certificate,omitempty"`
	ClientKey         string `json:"client_key,omitempty"`
	// ServerName is the name that the server's certificate has to have. Default: the host of the address.
	ServerName string `json:"server_name,omitempty"`
}

// pool has the stores in use. Handlers and configurations with the same options share one, so that a reload loses
// neither the connection nor the copies in memory.
var pool = caddy.NewUsagePool()

// CaddyModule returns the Caddy module information.
func (*Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  validators.StoreNamespace + ".redis",
		New: func() caddy.Module { return new(Redis) },
	}
}

// Provision finds the store with these options, or makes one. It opens no network.
func (r *Redis) Provision(ctx caddy.Context) error {
	options, err := r.resolve(caddy.NewReplacer())
	if err != nil {
		return err
	}
	r.name, r.key = options.name(), options.key()
	pooled, _, err := pool.LoadOrNew(r.key, func() (caddy.Destructor, error) { return newStore(options), nil })
	if err != nil {
		return err
	}
	r.store = pooled.(*store)
	logger := ctx.Logger()
	r.detach = r.store.attach(logger)
	if r.Password != "" && options.password == "" {
		logger.Warn("the password is empty: its placeholder has no value", loggedStore(r.name))
	}
	return nil
}

// Cleanup gives the store back. The last one closes it, under live requests too, which then get ErrUnavailable.
func (r *Redis) Cleanup() error {
	if r.detach == nil {
		return nil
	}
	r.detach()
	r.detach = nil
	_, err := pool.Delete(r.key)
	return err
}

// Name is "redis", the address and the database, and the prefix if it is not the default.
func (r *Redis) Name() string { return r.name }

// Load is as in validators.Store.
func (r *Redis) Load(ctx context.Context, key validators.Key) (validators.Record, validators.Stamp, error) {
	return r.store.Load(ctx, key)
}

// Save is as in validators.Store.
func (r *Redis) Save(ctx context.Context, key validators.Key, record validators.Record, ttl time.Duration) error {
	return r.store.Save(ctx, key, record, ttl)
}

// Delete is as in validators.Store.
func (r *Redis) Delete(ctx context.Context, key validators.Key) error {
	return r.store.Delete(ctx, key)
}

// Forget is as in validators.Store.
func (r *Redis) Forget(ctx context.Context, uri validators.URI) error {
	return r.store.Forget(ctx, uri)
}

// Purge is as in validators.Store.
func (r *Redis) Purge(ctx context.Context, scope validators.Scope) error {
	return r.store.Purge(ctx, scope)
}

// FirstSeen is as in validators.Store.
func (r *Redis) FirstSeen(ctx context.Context, key validators.Key, tag string, now time.Time, ttl time.Duration) (time.Time, error) {
	return r.store.FirstSeen(ctx, key, tag, now, ttl)
}

// Stats is as in validators.Store. How many records there are is not known.
func (r *Redis) Stats() validators.Stats { return r.store.Stats() }

var errNoAddress = errors.New("redis needs an address")

var (
	_ validators.Store   = (*Redis)(nil)
	_ caddy.Provisioner  = (*Redis)(nil)
	_ caddy.CleanerUpper = (*Redis)(nil)
)
