package redis

import (
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/storetest"
)

func TestContract(t *testing.T) {
	s := startServer(t)
	storetest.Run(t, func(t *testing.T) validators.Store { return join(t, optionsFor(s.address())) })
}

func TestContractOfTwoNodes(t *testing.T) {
	s := startServer(t)
	storetest.RunShared(t, func(t *testing.T) (a, b validators.Store) {
		return join(t, optionsFor(s.address())), join(t, optionsFor(s.socket()))
	})
}

func TestContractOfABoundedStore(t *testing.T) {
	s := startServer(t)
	storetest.RunBounded(t, func(t *testing.T, maxFirstSeen int) validators.Store {
		o := optionsFor(s.address())
		o.maxFirstSeen = maxFirstSeen
		return join(t, o)
	})
}
