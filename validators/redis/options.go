package redis

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// options are those of a module with placeholders replaced, defaults set and files read.
type options struct {
	addresses  []string // host:port, or the path of a socket
	sentinel   string
	username   string
	password   string
	tls        *tls.Config
	tlsDigest  [sha256.Size]byte // of all that tls was made of
	db         int
	prefix     string
	timeout    time.Duration
	localCache int64

	maxFirstSeen int
}

// check finds what cannot be, as far as it is known before placeholders are replaced.
func (r *Redis) check() error {
	onSocket := func(address string) bool { return strings.HasPrefix(address, "unix/") }
	var sockets int
	for _, address := range r.Address {
		if onSocket(address) {
			sockets++
		}
	}
	switch several := len(r.Address) > 1; {
	case len(r.Address) == 0:
		return errNoAddress
	case r.DB < 0:
		return fmt.Errorf("%d is not the number of a database, such as 0", r.DB)
	case several && r.Sentinel == "" && r.DB != 0:
		return errors.New("several addresses are a cluster, which has no db but 0; remove db, or all addresses but one")
	case sockets > 0 && (several || r.Sentinel != ""):
		return errors.New("a unix socket is neither a cluster nor a sentinel; write it alone, or host:port")
	case sockets > 0 && r.TLS != nil:
		return errors.New("tls does not go with a unix socket; remove tls, or write host:port")
	case r.TLS != nil && (r.TLS.ClientCertificate == "") != (r.TLS.ClientKey == ""):
		return errors.New("a client certificate needs its key, and the key its certificate")
	case r.Username != "" && r.Password == "":
		return errors.New("a username needs a password; add password {env.REDIS_PASSWORD}, or remove username")
	}
	return nil
}

func checkTimeout(timeout time.Duration) error {
	if timeout < minTimeout || timeout > maxTimeout {
		return fmt.Errorf("timeout has to be from %s to %s, such as 50ms", minTimeout, maxTimeout)
	}
	return nil
}

func checkLocalCache(size int64) error {
	if size < minLocalCache || size > maxLocalCache {
		return errors.New("local_cache has to be from 1MiB to 1TiB, such as 128MiB")
	}
	return nil
}

// checkPrefix refuses braces, between which a cluster looks for what decides on the node: all keys would be
// on one.
func checkPrefix(prefix string) error {
	if strings.ContainsAny(prefix, "{}") {
		return fmt.Errorf("key_prefix %q has a brace, or a placeholder that is not known", prefix)
	}
	if len(prefix) > maxKeyPrefix {
		return fmt.Errorf("key_prefix is longer than %d octets", maxKeyPrefix)
	}
	return nil
}

// resolve makes options of the configuration.
func (r *Redis) resolve(replacer *caddy.Replacer) (*options, error) {
	known := func(text string) string { return replacer.ReplaceKnown(text, "") }
	o := &options{
		sentinel:   known(r.Sentinel),
		username:   known(r.Username),
		password:   known(r.Password),
		db:         r.DB,
		prefix:     cmp.Or(known(r.KeyPrefix), defaultKeyPrefix),
		timeout:    cmp.Or(time.Duration(r.Timeout), defaultTimeout),
		localCache: cmp.Or(r.LocalCache, defaultLocalCache),

		maxFirstSeen: cmp.Or(r.MaxFirstSeen, validators.DefaultMaxFirstSeen),
	}
	replaced := &Redis{Sentinel: o.sentinel, Username: o.username, Password: r.Password, TLS: r.TLS, DB: r.DB}
	for _, text := range r.Address {
		address, err := parseAddress(known(text))
		if err != nil {
			return nil, err
		}
		o.addresses = append(o.addresses, address)
		replaced.Address = append(replaced.Address, known(text))
	}
	if err := errors.Join(replaced.check(), checkPrefix(o.prefix), checkTimeout(o.timeout), checkLocalCache(o.localCache), validators.CheckMaxFirstSeen(o.maxFirstSeen)); err != nil {
		return nil, err
	}
	return o, o.readTLS(r.TLS, known)
}

// parseAddress returns host:port, or the path of a socket, which has a slash.
func parseAddress(text string) (string, error) {
	address, err := caddy.ParseNetworkAddressWithDefaults(text, "tcp", 6379)
	switch {
	case err != nil:
		return "", fmt.Errorf("parsing address %q: %w", text, err)
	case address.Network == "unix" && strings.HasPrefix(address.Host, "/"):
		return address.Host, nil
	case address.Network != "tcp" || address.Host == "" || address.PortRangeSize() != 1 || address.StartPort == 0:
		shown, instead := plainAddress(text)
		return "", fmt.Errorf("address %q is neither host:port nor unix//path; write %s", shown, instead)
	}
	return net.JoinHostPort(address.Host, strconv.FormatUint(uint64(address.StartPort), 10)), nil
}

// plainAddress is what to write in place of an address that is none, and how that one may be shown: of a URL, as other
// programs have it, without the password.
func plainAddress(text string) (shown, instead string) {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return u.Redacted(), u.Host + ", and password, db and tls on lines of their own"
	}
	return text, "an address such as localhost:6379"
}

// readTLS reads the files, so that a wrong path is an error of the configuration and not of a request.
func (o *options) readTLS(t *TLS, known func(string) string) error {
	if t == nil {
		return nil
	}
	o.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: known(t.ServerName)}
	digest := sha256.New()
	read := func(file string) ([]byte, error) {
		content, err := os.ReadFile(known(file))
		_, _ = fmt.Fprintf(digest, "%d ", len(content))
		digest.Write(content)
		return content, err
	}
	for _, file := range t.CA {
		content, err := read(file)
		if err != nil {
			return fmt.Errorf("reading ca: %w", err)
		}
		if o.tls.RootCAs == nil {
			o.tls.RootCAs = x509.NewCertPool()
		}
		if !o.tls.RootCAs.AppendCertsFromPEM(content) {
			return fmt.Errorf("no certificate in ca %s", file)
		}
	}
	if t.ClientCertificate != "" {
		if err := o.readClient(read, t); err != nil {
			return err
		}
	}
	digest.Write([]byte(o.tls.ServerName))
	digest.Sum(o.tlsDigest[:0])
	return nil
}

func (o *options) readClient(read func(string) ([]byte, error), t *TLS) error {
	certificate, err := read(t.ClientCertificate)
	if err != nil {
		return fmt.Errorf("reading client certificate: %w", err)
	}
	key, err := read(t.ClientKey)
	if err != nil {
		return fmt.Errorf("reading client key: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	o.tls.Certificates = []tls.Certificate{pair}
	return nil
}

// single reports whether the server cannot be part of a cluster; else one address alone is asked what it is.
func (o *options) single() bool {
	return len(o.addresses) == 1 && (o.db != 0 || o.addresses[0][0] == '/')
}

func (o *options) name() string {
	name := "redis "
	if o.sentinel != "" {
		name += o.sentinel + " of "
	}
	name += strings.Join(o.addresses, ",") + "/" + strconv.Itoa(o.db)
	if o.prefix != defaultKeyPrefix {
		name += " " + o.prefix
	}
	return name
}

// key tells options apart, without letting on what they are.
func (o *options) key() string {
	text, err := json.Marshal([]any{
		o.addresses, o.sentinel, o.username, o.password, o.tls != nil, o.tlsDigest, o.db, o.prefix, o.timeout, o.localCache, o.maxFirstSeen,
	})
	if err != nil {
		panic(err) // these are texts and numbers
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func loggedStore(name string) zap.Field { return zap.String("store", name) }
