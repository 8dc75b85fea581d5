package memory_test

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/memory"
)

// A store keeps a record for its ttl, until the URI is forgotten.
func ExampleStore() {
	store, err := memory.New(memory.Options{MaxEntries: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	u := &url.URL{Path: "/page"}
	key := validators.Key{URI: validators.NewURI("example.com", u)}
	key.Sum = key.URI.Sum // a handler adds all else that selects a record

	record, stamp, err := store.Load(ctx, key)
	fmt.Println(record.Exists(), err)

	record = validators.Record{Stamp: stamp, ETag: `"a"`, Received: time.Now(), Lifetime: time.Minute}
	fmt.Println(store.Save(ctx, key, record, time.Minute))
	record, _, err = store.Load(ctx, key)
	fmt.Println(record.ETag, err)

	fmt.Println(store.Forget(ctx, key.URI))
	record, _, err = store.Load(ctx, key)
	fmt.Println(record.Exists(), err)

	// Output:
	// false <nil>
	// <nil>
	// "a" <nil>
	// <nil>
	// false <nil>
}
