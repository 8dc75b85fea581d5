// Package memory is the default store of `remember`. It keeps records in the memory of the process, up to a number of
// them. Records outlive a reload of the configuration, and are lost when the process ends.
//
//	remember {
//		store memory {
//			max_entries    100000
//			max_first_seen 100000
//		}
//	}
//
// A record takes about 280 bytes: 277 with an entity tag of 47 bytes, a path of two segments and a Cache-Control of 18
// bytes, and 293 once it has been saved a second time. When the store is full, records that are asked for seldom give way
// to records that are asked for often (W-TinyLFU). Nothing runs in the background: later calls clear away what has
// expired, and it gives way earlier if its room is needed.
package memory

import (
	"cmp"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/conditionalcache/caddy-conditional-cache/internal/jsonread"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

const (
	defaultMaxEntries = 100_000
	// maxMaxEntries would be some 28 GB. What is more is a slip of the pen.
	maxMaxEntries = 100_000_000
)

// pool has the records of this process by the Options they were made with: a new configuration is provisioned
// before the old one is cleaned up, so that records survive a reload. Stores with the same options share them,
// which their keys allow for.
var pool = caddy.NewUsagePool()

func init() {
	caddy.RegisterModule(new(Store))
}

// Store keeps records in the memory of the process. It is the default store of `remember` and of
// `last_modified from first_seen`. Handlers and configurations with the same options share one store.
//
// A Store can be used after Provision, as Caddy calls it, or comes ready from [New].
type Store struct {
	// The greatest number of records to keep, at about 280 bytes each. Default: 100000. Refused: over 100000000.
	MaxEntries int `json:"max_entries,omitempty"`
	// The greatest number of `first_seen` dates to keep for each handler configuration, at about 170 bytes each. When
	// there are so many, new entity tags get no date. Default: 100000. Refused: over 100000000.
	MaxFirstSeen int `json:"max_first_seen,omitempty"`

	*records `json:"-"`
	acquired atomic.Bool
}

// Options configure a store that is used without Caddy.
type Options struct {
	// MaxEntries and MaxFirstSeen are as in Store; 0 means the default.
	MaxEntries, MaxFirstSeen int
}

// New returns a store that shares nothing with any other. It needs no closing. The error says which option is out of
// range.
func New(options Options) (*Store, error) {
	s := &Store{MaxEntries: options.MaxEntries, MaxFirstSeen: options.MaxFirstSeen}
	s.setDefaults()
	if err := s.check(); err != nil {
		return nil, err
	}
	s.records = newRecords(s.key())
	return s, nil
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: validators.StoreNamespace + ".memory", New: func() caddy.Module { return new(Store) }}
}

// Provision checks the options and finds the records of stores with the same ones. It starts nothing.
func (s *Store) Provision(caddy.Context) error {
	s.setDefaults()
	if err := s.check(); err != nil {
		return err
	}
	kept, _, err := pool.LoadOrNew(s.key(), func() (caddy.Destructor, error) { return newRecords(s.key()), nil })
	if err != nil {
		return fmt.Errorf("making room for records: %w", err)
	}
	s.records = kept.(*records) // nothing else is put into the pool
	s.acquired.Store(true)
	return nil
}

func (s *Store) key() Options { return Options{MaxEntries: s.MaxEntries, MaxFirstSeen: s.MaxFirstSeen} }

func (s *Store) setDefaults() {
	s.MaxEntries = cmp.Or(s.MaxEntries, defaultMaxEntries)
	s.MaxFirstSeen = cmp.Or(s.MaxFirstSeen, validators.DefaultMaxFirstSeen)
}

func (s *Store) check() error {
	if s.MaxEntries < 1 || s.MaxEntries > maxMaxEntries {
		return fmt.Errorf("max_entries has to be from 1 to %d, not %d", maxMaxEntries, s.MaxEntries)
	}
	return validators.CheckMaxFirstSeen(s.MaxFirstSeen)
}

// Cleanup gives the records back. Requests that still use the store go on as before. The memory is free when the last of
// them has ended and no configuration uses the records. Caddy calls Cleanup after a failed Provision, too.
func (s *Store) Cleanup() error {
	if !s.acquired.Swap(false) {
		return nil
	}
	_, err := pool.Delete(s.key())
	return err
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	memory {
//	    max_entries    <n>
//	    max_first_seen <n>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the store's name
	if d.NextArg() {
		return d.Errf("unexpected %q: memory has its options in a block, such as memory { max_entries %d } (with a line break at each brace)", d.Val(), defaultMaxEntries)
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "max_entries":
			err = unmarshalNumber(d, &s.MaxEntries, maxMaxEntries)
		case "max_first_seen":
			err = unmarshalNumber(d, &s.MaxFirstSeen, validators.MostMaxFirstSeen)
		default:
			err = d.Errf("unrecognized subdirective %q; memory knows max_entries and max_first_seen", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func unmarshalNumber(d *caddyfile.Dispenser, to *int, most int) error {
	name := d.Val()
	if *to != 0 {
		return d.Errf("%s is there twice", name)
	}
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("%s takes one number, such as %s 100000, not %d arguments", name, name, len(args))
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > most {
		return d.Errf("%s has to be a whole number from 1 to %d, such as 100000, not %q", name, most, args[0])
	}
	*to = n
	return nil
}

// UnmarshalJSON implements json.Unmarshaler: what is wrong is said in the words of the configuration.
func (s *Store) UnmarshalJSON(raw []byte) error {
	type plain Store
	return jsonread.Into(raw, (*plain)(s), jsonread.Examples{"max_entries": "100000", "max_first_seen": "100000"})
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*Store)(nil)
	_ caddy.CleanerUpper    = (*Store)(nil)
	_ caddyfile.Unmarshaler = (*Store)(nil)
	_ validators.Store      = (*Store)(nil)
)
