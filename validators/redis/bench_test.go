package redis

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func BenchmarkStore(b *testing.B) {
	n := join(b, optionsFor(startServer(b).address()))
	key, none := newKey("a.example", "/"), newKey("a.example", "/")
	record := n.remember(key)
	ctx := context.Background()
	now := time.Unix(1_800_000_000, 0)
	for name, do := range map[string]func() error{
		"Load=hit":       func() error { _, _, err := n.Load(ctx, key); return err },
		"Load=miss":      func() error { _, _, err := n.Load(ctx, none); return err },
		"Load=cold":      func() error { _, _, err := n.Load(ctx, newKey("a.example", "/")); return err },
		"Save":           func() error { return n.Save(ctx, key, record, time.Hour) },
		"Forget":         func() error { return n.Forget(ctx, key.URI) },
		"FirstSeen=same": func() error { _, err := n.FirstSeen(ctx, key, `"a"`, now, time.Hour); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkServer measures the server, on the same machine: what a typical record takes there, its key included, and
// how long a look-up takes that asks it for three keys, when many do at one time.
func BenchmarkServer(b *testing.B) {
	s := startServer(b)
	n := join(b, optionsFor(s.address()))
	ctx := context.Background()
	key, now := newKey("a.example", "/"), time.Now()
	record := validators.Record{
		Stamp: n.stamp(key), ETag: `W/"cc1.0123456789abcdef0123456789abcdef.t5bv40"`, LastModified: now, Size: 34567,
		Received: now, Date: now, Lifetime: time.Minute,
	}
	record.AddField("Cache-Control", "public, max-age=60")
	if err := n.Save(ctx, key, record, time.Hour); err != nil {
		b.Fatal(err)
	}
	result := s.must("MEMORY", "USAGE", string(appendDigest(nil, n.keys.record, key.Sum)))
	size, err := result.ToInt64()
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := n.Load(ctx, newKey("a.example", "/")); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(size), "B/record")
}

// BenchmarkGuard measures what it costs to look at what goes to the server and comes from it: Loads that ask the
// server for three keys, one after the other and many at a time, and the look alone.
func BenchmarkGuard(b *testing.B) {
	s := startServer(b)
	guarded, unguarded := join(b, optionsFor(s.address())), join(b, optionsFor(s.address()))
	unguarded.undress()
	ctx := context.Background()
	for _, how := range []struct {
		name string
		node *node
	}{{"on", guarded}, {"off", unguarded}} {
		load := func(b *testing.B) {
			b.Helper()
			if _, _, err := how.node.Load(ctx, newKey("a.example", "/")); err != nil {
				b.Error(err)
			}
		}
		b.Run("Load=cold/guard="+how.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				load(b)
			}
		})
		b.Run("Load=many/guard="+how.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					load(b)
				}
			})
		})
	}
}

func BenchmarkAnswers(b *testing.B) {
	for name, c := range map[string]struct{ asked, said string }{
		"copies":  {strings.Repeat(readsWritten(), 100), strings.Repeat(readsAnswered, 100)},
		"cluster": {written("CLUSTER SLOTS"), slotsOf(1000, 16384)},
	} {
		b.Run("said="+name, func(b *testing.B) {
			asked, said := []byte(c.asked), []byte(c.said)
			b.ReportAllocs()
			b.SetBytes(int64(len(asked) + len(said)))
			var a answers
			for b.Loop() {
				if err := a.command.read(asked, &a.questions); err != nil {
					b.Fatal(err)
				}
				if _, err := a.read(said); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
