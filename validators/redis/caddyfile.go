package redis

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/conditionalcache/caddy-conditional-cache/internal/jsonread"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	redis {
//	    address        <host:port...> | unix//<path>
//	    sentinel       <name of the primary>
//	    username       <text>
//	    password       <text with {env.*} or {file.*}>
//	    tls {
//	        ca          <file...>
//	        client      <certificate file> <key file>
//	        server_name <name>
//	    }
//	    db             <number>
//	    key_prefix     <text>
//	    timeout        <duration>
//	    local_cache    <size>
//	    max_first_seen <number>
//	}
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the store
	if d.NextArg() {
		return d.Errf("unexpected argument %q: the address of redis is an option of its block, such as redis { address %s } (with a line break at each brace)", d.Val(), d.Val())
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once(d, seen); err != nil {
			return err
		}
		if err := r.unmarshalOption(d); err != nil {
			return err
		}
	}
	if err := r.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (r *Redis) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "address":
		return r.unmarshalAddress(d)
	case "sentinel":
		return oneText(d, &r.Sentinel)
	case "username":
		return oneText(d, &r.Username)
	case "password":
		return oneText(d, &r.Password)
	case "tls":
		return r.unmarshalTLS(d)
	case "db":
		return r.unmarshalDB(d)
	case "key_prefix":
		return oneText(d, &r.KeyPrefix)
	case "timeout":
		return r.unmarshalTimeout(d)
	case "local_cache":
		return r.unmarshalLocalCache(d)
	case "max_first_seen":
		return r.unmarshalMaxFirstSeen(d)
	default:
		return d.Errf("unrecognized option %q of redis; use address, sentinel, username, password, tls, db, key_prefix, timeout, local_cache or max_first_seen%s", d.Val(), meant(d.Val()))
	}
}

// meant says which option a word stands for that other programs have; empty: nobody knows.
func meant(word string) string {
	option := map[string]string{
		"addr": "address", "addresses": "address", "host": "address", "hosts": "address", "server": "address", "url": "address",
		"user": "username", "pass": "password", "database": "db", "prefix": "key_prefix", "ttl": "remember <ttl>",
	}[word]
	if option == "" {
		return ""
	}
	return fmt.Sprintf(" (for %s write %s)", word, option)
}

func (r *Redis) unmarshalAddress(d *caddyfile.Dispenser) error {
	r.Address = d.RemainingArgs()
	if len(r.Address) == 0 {
		return d.Errf("address needs at least one host:port, such as localhost:6379")
	}
	for _, address := range r.Address {
		if strings.Contains(address, "{") {
			continue // is looked at once it is known
		}
		if _, err := parseAddress(address); err != nil {
			return d.WrapErr(err)
		}
	}
	return noBlock(d)
}

func (r *Redis) unmarshalDB(d *caddyfile.Dispenser) error {
	var text string
	if err := oneText(d, &text); err != nil {
		return err
	}
	db, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return d.Errf("%q is not the number of a database, such as 0", text)
	}
	r.DB = int(db)
	return nil
}

func (r *Redis) unmarshalTimeout(d *caddyfile.Dispenser) error {
	var text string
	if err := oneText(d, &text); err != nil {
		return err
	}
	span := text
	if strings.Trim(text, "0123456789") == "" {
		span += "s" // a number of seconds, as everywhere
	}
	timeout, err := caddy.ParseDuration(span)
	if err != nil {
		return d.Errf("parsing timeout: %q is not a duration such as 50ms", text)
	}
	r.Timeout = caddy.Duration(timeout)
	if err := checkTimeout(timeout); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (r *Redis) unmarshalLocalCache(d *caddyfile.Dispenser) error {
	var text string
	if err := oneText(d, &text); err != nil {
		return err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil {
		return d.Errf("parsing local_cache: %q is not a size such as 128MiB", text)
	}
	if size > maxLocalCache {
		size = maxLocalCache + 1 // too much, which the check says
	}
	r.LocalCache = int64(size)
	if err := checkLocalCache(r.LocalCache); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (r *Redis) unmarshalMaxFirstSeen(d *caddyfile.Dispenser) error {
	var text string
	if err := oneText(d, &text); err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return d.Errf("%q is not a number of dates, such as 100000", text)
	}
	if err := validators.CheckMaxFirstSeen(n); err != nil {
		return d.WrapErr(err)
	}
	r.MaxFirstSeen = n
	return nil
}

func (r *Redis) unmarshalTLS(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("unexpected %q: tls takes no argument; write tls alone, or its options in a block", d.Val())
	}
	r.TLS = new(TLS)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once(d, seen); err != nil {
			return err
		}
		if err := r.TLS.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (t *TLS) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "ca":
		if t.CA = d.RemainingArgs(); len(t.CA) == 0 {
			return d.Errf("ca needs at least one file, such as /etc/ssl/redis-ca.pem")
		}
		return noBlock(d)
	case "client":
		if !d.AllArgs(&t.ClientCertificate, &t.ClientKey) {
			return d.Errf("client needs two files, its certificate and its key, such as /etc/ssl/caddy.pem /etc/ssl/caddy.key")
		}
		return noBlock(d)
	case "server_name":
		return oneText(d, &t.ServerName)
	default:
		return d.Errf("unrecognized option %q of tls; use ca, client or server_name", d.Val())
	}
}

// once refuses an option that was there before.
func once(d *caddyfile.Dispenser, seen map[string]bool) error {
	if seen[d.Val()] {
		return d.Errf("duplicate option %q; write it once", d.Val())
	}
	seen[d.Val()] = true
	return nil
}

// oneText reads the one argument of an option, which is not empty.
func oneText(d *caddyfile.Dispenser, text *string) error {
	option := d.Val()
	if args := d.RemainingArgs(); len(args) == 1 {
		*text = args[0]
	} else {
		return d.Errf("%s takes one value, and here are %d; write one, and put quotes around it if it has spaces", option, len(args))
	}
	if *text == "" {
		return d.Errf("%s is empty; write a value, or if a {$VARIABLE} gives it, set that", option)
	}
	return noBlock(d)
}

// noBlock refuses a block after an option that has none.
func noBlock(d *caddyfile.Dispenser) error {
	if d.NextBlock(d.Nesting()) {
		return d.Errf("unexpected block: %q; remove it with its braces", d.Val())
	}
	return nil
}

// examples are values of the fields in JSON, for errors.
var examples = jsonread.Examples{ //nolint:gosec // a placeholder is no password
	"address": `["localhost:6379"]`, "sentinel": `"main"`, "username": `"caddy"`, "password": `"{env.REDIS_PASSWORD}"`, "db": `0`,
	"tls": `{"ca": ["/etc/ssl/redis-ca.pem"]}`, "tls.ca": `["/etc/ssl/redis-ca.pem"]`, "tls.client_certificate": `"/etc/ssl/caddy.pem"`,
	"tls.client_key": `"/etc/ssl/caddy.key"`, "tls.server_name": `"redis.example"`,
	"key_prefix": `"site:"`, "timeout": `"50ms"`, "local_cache": `134217728`, "max_first_seen": `100000`,
}

// UnmarshalJSON implements json.Unmarshaler: what is wrong is said in the words of the configuration.
func (r *Redis) UnmarshalJSON(raw []byte) error {
	type plain Redis
	return jsonread.Into(raw, (*plain)(r), examples)
}

const (
	defaultTimeout = 50 * time.Millisecond
	minTimeout     = time.Millisecond
	maxTimeout     = 5 * time.Second

	defaultLocalCache = 128 << 20
	minLocalCache     = 1 << 20
	maxLocalCache     = 1 << 40

	defaultKeyPrefix = "conditional_cache:"
	maxKeyPrefix     = 128
)

var _ caddyfile.Unmarshaler = (*Redis)(nil)
