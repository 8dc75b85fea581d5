package redis

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// typical is the record of a page with a tag of ours and a Cache-Control.
func typical(stamp validators.Stamp) validators.Record {
	now := time.Now()
	record := validators.Record{
		Stamp: stamp, ETag: `W/"cc1.0123456789abcdef0123456789abcdef.t5bv40"`, LastModified: now.Truncate(time.Second), Size: 34567,
		Received: now, Date: now, Lifetime: time.Minute,
	}
	record.AddField("Cache-Control", "public, max-age=60")
	return record
}

// BenchmarkStore measures calls of one process with a server on the same machine. B/record is what the server's
// memory grows by.
//
//	go test -run '^$' -bench Store -benchmem ./validators/redis
func BenchmarkStore(b *testing.B) { //nolint:gocognit // one call after the other
	s := startServer(b)
	r := ready(b, node(b, s))
	ctx := b.Context()
	keys := make([]validators.Key, 10_000)
	for i := range keys {
		keys[i] = keyOf(fmt.Sprintf("/%05d/", i))
	}
	stampOf := func(key validators.Key) validators.Stamp {
		_, stamp, err := r.Load(ctx, key)
		if err != nil {
			b.Fatal(err)
		}
		return stamp
	}
	for _, key := range keys {
		stampOf(key) // makes the generations
	}
	before := s.memory(b)
	for _, key := range keys {
		if err := r.Save(ctx, key, typical(stampOf(key)), time.Hour); err != nil {
			b.Fatal(err)
		}
	}
	perRecord := float64(s.memory(b)-before) / float64(len(keys))
	run := func(name string, call func(i int) error) {
		b.Run("call="+name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := call(i % len(keys)); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(perRecord, "B/record")
		})
	}
	load := func(i int) error { _, _, err := r.Load(ctx, keys[i]); return err }
	b.Run("call=load-missed/parallel", func(b *testing.B) { // each call is one to the server
		b.ReportAllocs()
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				key := keys[0]
				binary.LittleEndian.PutUint64(key.Sum[:], uint64(next.Add(1)))
				if _, _, err := r.Load(ctx, key); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	run("load-hit", func(int) error { return load(0) })
	run("load-of-10000", load)
	run("save", func(i int) error { return r.Save(ctx, keys[i], typical(stampOf(keys[i])), time.Hour) })
	run("forget", func(i int) error { return r.Forget(ctx, keys[i].URI) })
	run("load-forgotten", load)
}

// memory is what the server uses for what it keeps.
func (s *server) memory(b *testing.B) int64 {
	b.Helper()
	out, err := exec.Command("redis-cli", "-s", filepath.Join(s.dir, "socket"), "info", "memory").Output()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.SplitSeq(string(out), "\r\n") {
		if text, found := strings.CutPrefix(line, "used_memory:"); found {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("the server does not say what it uses")
	return 0
}
