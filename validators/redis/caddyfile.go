package redis

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

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
		return d.Errf("unexpected argument %q: the address of redis is an option of its block", d.Val())
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
		return d.Errf("unrecognized option %q of redis", d.Val())
	}
}

func (r *Redis) unmarshalAddress(d *caddyfile.Dispenser) error {
	r.Address = d.RemainingArgs()
	if len(r.Address) == 0 {
		return d.ArgErr()
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
		return d.Errf("%q is not the number of a database", text)
	}
	r.DB = int(db)
	return nil
}

func (r *Redis) unmarshalTimeout(d *caddyfile.Dispenser) error {
	var text string
	if err := oneText(d, &text); err != nil {
		return err
	}
	timeout, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("parsing timeout: %v", err)
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
		return d.Errf("parsing local_cache: %v", err)
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
		return d.Errf("%q is not a number of dates", text)
	}
	if err := validators.CheckMaxFirstSeen(n); err != nil {
		return d.WrapErr(err)
	}
	r.MaxFirstSeen = n
	return nil
}

func (r *Redis) unmarshalTLS(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
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
			return d.ArgErr()
		}
		return noBlock(d)
	case "client":
		if !d.AllArgs(&t.ClientCertificate, &t.ClientKey) {
			return d.ArgErr()
		}
		return noBlock(d)
	case "server_name":
		return oneText(d, &t.ServerName)
	default:
		return d.Errf("unrecognized option %q of tls", d.Val())
	}
}

// once refuses an option that was there before.
func once(d *caddyfile.Dispenser, seen map[string]bool) error {
	if seen[d.Val()] {
		return d.Errf("duplicate option %q", d.Val())
	}
	seen[d.Val()] = true
	return nil
}

// oneText reads the one argument of an option, which is not empty.
func oneText(d *caddyfile.Dispenser, text *string) error {
	option := d.Val()
	if !d.AllArgs(text) {
		return d.ArgErr()
	}
	if *text == "" {
		return d.Errf("%s is empty", option)
	}
	return noBlock(d)
}

// noBlock refuses a block after an option that has none.
func noBlock(d *caddyfile.Dispenser) error {
	if d.NextBlock(d.Nesting()) {
		return d.Errf("unexpected block: %q", d.Val())
	}
	return nil
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
