package validators

import (
	"context"
	"time"
)

type waitedKey struct{}

// WithWaited is a context for one more of the calls that a request makes to a store: it has waited for the earlier
// ones for so long.
func WithWaited(ctx context.Context, waited time.Duration) context.Context {
	return context.WithValue(ctx, waitedKey{}, waited)
}

// Waited is how long a request has waited for its earlier calls; 0 for the first one. A store whose calls take time
// takes it off its own bound, so that all of them together do not take longer than one may.
func Waited(ctx context.Context) time.Duration {
	waited, _ := ctx.Value(waitedKey{}).(time.Duration)
	return waited
}
