package validators

import (
	"context"
	"time"
)

type waitedKey struct{}

// WithWaited returns a context for the next call that a request makes to a store. waited is how long the request has
// waited for its earlier calls.
func WithWaited(ctx context.Context, waited time.Duration) context.Context {
	return context.WithValue(ctx, waitedKey{}, waited)
}

// Waited returns how long a request has waited for its earlier calls; 0 for the first one. A store whose calls take time
// subtracts it from its own bound, so that all calls of a request together take no longer than one call may.
func Waited(ctx context.Context) time.Duration {
	waited, _ := ctx.Value(waitedKey{}).(time.Duration)
	return waited
}
