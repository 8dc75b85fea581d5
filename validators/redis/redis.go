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

// Redis keeps records at a Redis server (version 6 or later, or another that speaks its protocol), so that many nodes
// share them. Each process keeps copies of the records that it has used, and the server tells it when one changes.
//
// The connection is made by the first request that needs it. While the server cannot be reached, requests are served as
// if nothing were remembered. All texts may have placeholders such as {env.*} and {file.*}, which are replaced when the
// configuration is loaded.
type Redis struct {
	// Where the server is: host:port, or unix//path for a socket. The port is 6379 by default. Several addresses are nodes
	// of one cluster (one of them is enough), or sentinels if `sentinel` is given. Default: none; required.
	Address []string `json:"address,omitempty"`
	// The name by which the sentinels at `address` know the primary. They are asked without a password. Default: none.
	Sentinel string `json:"sentinel,omitempty"`
	// The user of the server's access control list. Default: the server's default user. Refused: without `password`.
	Username string `json:"username,omitempty"`
	// The password of the user. It appears in no log and no error. Default: none.
	Password string `json:"password,omitempty"`
	// How the connection is encrypted. Default: it is not encrypted.
	TLS *TLS `json:"tls,omitempty"`
	// The number of the database. Default: 0. Refused: a negative number; another one than 0 with several addresses, unless
	// they are sentinels.
	DB int `json:"db,omitempty"`
	// The text that all keys begin with. Stores with the same prefix share their records. Default: `conditional_cache:`.
	// Refused: braces; more than 128 bytes.
	KeyPrefix string `json:"key_prefix,omitempty"`
	// How long one request waits for the server at most, from 1ms to 5s. Default: 50ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// How many bytes of this process's memory hold copies of records, for each connection: one for each node of a cluster,
	// else one. From 1 MiB to 1 TiB. Default: 134217728 (128 MiB).
	LocalCache int64 `json:"local_cache,omitempty"`
	// The greatest number of `first_seen` dates that the server keeps for each handler configuration, at about 320 bytes
	// each. When there are so many, new entity tags get no date. Default: 100000. Refused: over 100000000.
	MaxFirstSeen int `json:"max_first_seen,omitempty"`

	store *store
	key   string
	name  string
	// detach takes this module's logger from the store. It is nil while nothing is acquired.
	detach func()
}

// TLS says how the connection to the server is encrypted. TLS 1.2 is the oldest version used. The server's certificate is
// always verified.
type TLS struct {
	// PEM files with the authorities that may have issued the server's certificate. Default: those of the system.
	// Refused: a file that cannot be read, or has no certificate.
	CA []string `json:"ca,omitempty"`
	// A PEM file with the certificate by which the server knows this process. Default: none. Refused: without
	// `client_key`.
	ClientCertificate string `json:"client_certificate,omitempty"`
	// A PEM file with the key of `client_certificate`. Default: none. Refused: without `client_certificate`.
	ClientKey string `json:"client_key,omitempty"`
	// The name that the server's certificate has to have. Default: the host of the address.
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

var errNoAddress = errors.New("redis needs an address in its block, such as address localhost:6379")

var (
	_ validators.Store   = (*Redis)(nil)
	_ caddy.Provisioner  = (*Redis)(nil)
	_ caddy.CleanerUpper = (*Redis)(nil)
)
