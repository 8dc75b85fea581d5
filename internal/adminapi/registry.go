package adminapi

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// live are the stores of this process. They outlive configurations: while one is replaced by the next, those
// of both are in use.
var live registry

// Register makes a store known to the admin API until release is called, which may happen many times and from any
// goroutine. Stores with the same name and options are one, however many handlers register it.
func Register(store validators.Store) (release func()) { return live.add(store) }

// Stores are all of them, each once.
func Stores() (all []validators.Store) {
	for _, use := range live.list() {
		all = append(all, use.store)
	}
	return all
}

// registry holds stores. The zero value is empty.
type registry struct {
	mu sync.Mutex
	// One for each registration, the latest last: of the values that stand for one store, an earlier one may
	// belong to a configuration that is on its way out.
	uses map[identity][]*use
}

// identity tells stores apart. What has other options may keep records of its own under the same name, as two
// memory stores of different sizes do. To take one for two is harmless: it is purged twice.
type identity struct{ name, options string } // options may hold a password: they are compared, and never shown

// identify reads the options of a module as Caddy writes them. A store that cannot be written has none.
func identify(store validators.Store) identity {
	options, err := json.Marshal(store)
	if err != nil {
		options = nil
	}
	return identity{store.Name(), string(options)}
}

// use is one registration.
type use struct {
	identity
	store validators.Store
}

func (r *registry) add(store validators.Store) (release func()) {
	added := &use{identify(store), store}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.uses == nil {
		r.uses = make(map[identity][]*use)
	}
	r.uses[added.identity] = append(r.uses[added.identity], added)
	return sync.OnceFunc(func() { r.remove(added) })
}

func (r *registry) remove(gone *use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// DeleteFunc clears the place that becomes free, so that nothing holds on to the store.
	rest := slices.DeleteFunc(r.uses[gone.identity], func(u *use) bool { return u == gone })
	if len(rest) == 0 {
		delete(r.uses, gone.identity)
		return
	}
	r.uses[gone.identity] = rest
}

// list is every store once, sorted by name.
func (r *registry) list() []*use {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*use, 0, len(r.uses))
	for _, uses := range r.uses {
		all = append(all, uses[len(uses)-1])
	}
	slices.SortFunc(all, func(a, b *use) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.options, b.options))
	})
	return all
}
