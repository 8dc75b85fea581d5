package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// hurried are options with the default timeout, for servers that do not answer anyway.
func hurried(address string) *options {
	o := optionsFor(address)
	o.timeout = defaultTimeout
	return o
}

// inTime fails if something takes twenty times what it may, which on a busy machine is still not "hangs".
func inTime(t *testing.T, timeout time.Duration, do func()) { //nolint:unparam // said where it is called
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > 20*timeout {
		t.Errorf("took %s with a timeout of %s", took, timeout)
	}
}

func TestServerThatComesLater(t *testing.T) {
	s := startServer(t)
	s.kill()
	n, key := newNode(t, optionsFor(s.address())), newKey("a.example", "/")
	for range 100 {
		n.wantUnavailable(key)
	}
	eventually(t, "it is seen that there is no server", func() bool { return !n.Stats().Available })
	if err := n.Forget(t.Context(), key.URI); !errors.Is(err, validators.ErrUnavailable) {
		t.Errorf("Forget: %v", err)
	}
	if errs := n.Stats().Errors; errs != 101 {
		t.Errorf("%d errors were counted, want 101", errs)
	}
	s.start()
	n.awaitUp()
	if n.remember(key); !n.has(key) {
		t.Error("no record is found")
	}
	if warnings, infos := n.lines(zapcore.WarnLevel), n.lines(zapcore.InfoLevel); len(warnings) != 1 || len(infos) != 1 {
		t.Errorf("logged %q and %q, want one line of each", warnings, infos)
	}
}

func TestServerThatCrashes(t *testing.T) {
	s := startServer(t)
	n := join(t, optionsFor(s.address()))
	key, slow := newKey("a.example", "/"), newKey("a.example", "/b")
	n.remember(key)
	stamp := n.stamp(slow)
	s.kill()
	eventually(t, "nothing is found", func() bool { return !n.found(key) })
	eventually(t, "the store is left alone", func() bool {
		n.wantUnavailable(key)
		return !n.Stats().Available
	})
	s.start()
	n.awaitUp()
	if n.has(key) {
		t.Error("a record is found at a server that has nothing")
	}
	if err := n.Save(t.Context(), slow, newRecord(stamp), time.Hour); err != nil {
		t.Fatal(err)
	}
	if n.has(slow) {
		t.Error("a record is found that may have been forgotten before the server lost everything")
	}
	if n.remember(key); !n.has(key) {
		t.Error("no record is found")
	}
}

func TestServerThatIsPaused(t *testing.T) {
	s := startServer(t)
	n, other := join(t, hurried(s.address())), join(t, optionsFor(s.address()))
	key, untouched := newKey("a.example", "/"), newKey("b.example", "/")
	for n.trySave(key) != nil || n.trySave(untouched) != nil || !n.found(key) || !other.found(key) {
		t.Log("a slow machine")
	}
	s.pause()
	t.Cleanup(s.resume)
	inTime(t, defaultTimeout, func() {
		if err := n.Forget(t.Context(), key.URI); !errors.Is(err, validators.ErrUnavailable) {
			t.Errorf("Forget: %v", err)
		}
	})
	if n.found(key) {
		t.Error("what this node could not tell the server to forget is found")
	}
	for tries := 0; n.Stats().Available; tries++ {
		inTime(t, defaultTimeout, func() { n.wantUnavailable(newKey("c.example", "/")) })
		if tries > 10*costOfFailure {
			t.Fatal("the server is asked again and again")
		}
	}
	for range 1000 {
		n.wantUnavailable(untouched)
	}
	s.resume()
	eventually(t, "the store is back", func() bool { return n.Stats().Available })
	if n.found(key) {
		t.Error("what was to be forgotten is found when the server is back")
	}
	eventually(t, "the other node is told", func() bool { return !other.has(key) })
}

// A thousand requests at once are not kept by a server that stands still, nor by what queues for it.
func TestManyRequestsAtAPausedServer(t *testing.T) {
	s := startServer(t)
	n := join(t, hurried(s.address()))
	s.pause()
	t.Cleanup(s.resume)
	var requests sync.WaitGroup
	inTime(t, defaultTimeout, func() {
		for i := range 5000 {
			requests.Go(func() { n.wantUnavailable(newKey("a.example", fmt.Sprint("/", i))) })
		}
		requests.Wait()
	})
	if under := n.inFlight.Load(); under > maxInFlight {
		t.Errorf("%d calls are under way, of %d", under, maxInFlight)
	}
	s.resume()
	n.awaitUp()
}

// One client that leaves does not end what others wait for, nor does it say anything of the server.
func TestClientsThatLeave(t *testing.T) {
	s := startServer(t)
	n := join(t, optionsFor(s.address()))
	before := n.Stats().Errors
	for i := range 20 {
		key := newKey("a.example", fmt.Sprint("/", i))
		s.pause()
		leaves, cancel := context.WithCancel(t.Context())
		var requests sync.WaitGroup
		requests.Go(func() { _, _, _ = n.Load(leaves, key) })
		eventually(t, "the first asks", func() bool { return n.inFlight.Load() == 1 })
		requests.Go(func() {
			if _, _, err := n.Load(t.Context(), key); err != nil {
				t.Error("who stayed:", err)
			}
		})
		eventually(t, "the second waits", func() bool { return n.inFlight.Load() == 2 })
		cancel()
		s.resume()
		requests.Wait()
	}
	if stats := n.Stats(); stats.Errors != before || !stats.Available {
		t.Errorf("%+v", stats)
	}
}

func TestServerThatNeverAnswers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // nobody accepts; the kernel does
	n := newNode(t, hurried(listener.Addr().String()))
	inTime(t, defaultTimeout, func() {
		for range 1000 {
			n.wantUnavailable(newKey("a.example", "/"))
		}
	})
	eventually(t, "it is said that the store cannot be reached", func() bool { return len(n.lines(zapcore.WarnLevel)) > 0 })
}

func TestServerThatIsSlow(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	n := join(t, hurried(p.serve().address()))
	go s.do("DEBUG", "SLEEP", "1")
	eventually(t, "the store is left alone", func() bool {
		inTime(t, defaultTimeout, func() { n.found(newKey("a.example", "/")) })
		return !n.Stats().Available
	})
	n.awaitUp()
}

// A server that answers always, and always too late, is not asked by requests, though it can be reached.
func TestServerThatIsAlwaysTooSlow(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	p.delay = 2 * time.Millisecond // for each of the probe's commands
	n := newNode(t, hurried(p.serve().address()))
	n.wantUnavailable(newKey("a.example", "/"))
	eventually(t, "the store is left alone", func() bool { return !n.Stats().Available })
	n.wantUnavailable(newKey("a.example", "/"))
}

func TestServerThatTalksRubbish(t *testing.T) {
	for name, talk := range map[string]string{
		"HTTP": "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "nothing": "", "an error": "-ERR no\r\n", "zeros": strings.Repeat("\x00", 100),
		"another answer": ":5\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(talk))
					conn.Close()
				}
			}()
			n := newNode(t, hurried(listener.Addr().String()))
			n.wantUnavailable(newKey("a.example", "/"))
			eventually(t, "it is said that the store cannot be reached", func() bool { return len(n.lines(zapcore.WarnLevel)) > 0 })
			n.wantUnavailable(newKey("a.example", "/"))
		})
	}
}

// A full server still forgets, and what it has is still found.
func TestServerThatIsFull(t *testing.T) {
	s := startServer(t)
	n, other, key := join(t, optionsFor(s.address())), join(t, optionsFor(s.address())), newKey("a.example", "/")
	kept := newKey("b.example", "/")
	n.remember(kept)
	record := n.remember(key)
	s.must("CONFIG", "SET", "maxmemory-policy", "noeviction")
	s.must("CONFIG", "SET", "maxmemory", "1")
	for range 2 * tooMuch {
		if err := n.Save(t.Context(), key, record, time.Hour); !errors.Is(err, validators.ErrUnavailable) {
			t.Fatalf("Save: %v", err)
		}
	}
	if !n.has(key) || !other.has(key) || !n.Stats().Available {
		t.Error("what a full server has is not found")
	}
	for _, never := range []validators.Key{newKey("never.example", "/"), newKey("never.example", "/")} {
		n.wantUnavailable(never) // no stamp can be given for what has no generation
	}
	n.failures.Store(0)
	if err := n.Forget(t.Context(), key.URI); err != nil {
		t.Errorf("Forget: %v", err)
	}
	if n.found(key) {
		t.Error("what was forgotten at a full server is found")
	}
	eventually(t, "the other node is told", func() bool { return !other.found(key) })
	if !other.has(kept) {
		t.Error("what was not forgotten is not found")
	}
	if err := n.Purge(t.Context(), validators.Scope{Host: kept.URI.Host}); err != nil {
		t.Errorf("Purge: %v", err)
	}
	eventually(t, "the other node is told", func() bool { return !n.found(kept) && !other.found(kept) })
	if lines := n.lines(zapcore.WarnLevel); len(lines) != 1 {
		t.Errorf("logged %q, want one line", lines)
	}
	s.must("CONFIG", "SET", "maxmemory", "0")
	n.awaitUp()
	if n.remember(key); !n.has(key) {
		t.Error("no record is found when there is room again")
	}
}

// A server that has too few replicas, say, reads and does not write. What cannot be forgotten there is not found here,
// and is told as soon as that is possible.
func TestServerThatRefusesToWrite(t *testing.T) {
	s := startServer(t)
	n, other := join(t, optionsFor(s.address())), join(t, optionsFor(s.address()))
	kept, key, never := newKey("a.example", "/"), newKey("b.example", "/"), newKey("never.example", "/")
	deleted := newKey("c.example", "/")
	n.remember(kept)
	n.remember(key)
	n.remember(deleted)
	s.must("CONFIG", "SET", "min-replicas-to-write", "1")
	if err := n.Forget(t.Context(), key.URI); !errors.Is(err, validators.ErrUnavailable) {
		t.Errorf("Forget: %v", err)
	}
	if err := n.Delete(t.Context(), deleted); !errors.Is(err, validators.ErrUnavailable) {
		t.Errorf("Delete: %v", err)
	}
	for range tooMuch {
		if !n.has(kept) || !other.has(kept) || n.has(key) || n.has(deleted) {
			t.Fatal("what is there is not found, or what was forgotten is")
		}
		n.wantUnavailable(never) // no stamp can be given for what has no generation
	}
	if !n.Stats().Available {
		t.Error("a server that can be read is left alone")
	}
	if lines := n.lines(zapcore.WarnLevel); len(lines) != 1 {
		t.Errorf("logged %q, want one line", lines)
	}
	s.must("CONFIG", "SET", "min-replicas-to-write", "0")
	eventually(t, "the other node is told", func() bool { return !other.has(key) && !other.has(deleted) })
	eventually(t, "a record is found again", func() bool { n.remember(key); return n.has(key) })
}

// Whatever of it the server drops, what was forgotten or purged before does not come back.
func TestKeysThatAreEvicted(t *testing.T) {
	s := startServer(t)
	n, other := join(t, optionsFor(s.address())), join(t, optionsFor(s.address()))
	old, key := newKey("a.example", "/"), newKey("a.example", "/")
	stamp := n.stamp(old)
	for name, evict := range map[string]func(){
		"generation": func() { s.must("DEL", n.generationOf(key)) },
		"purges":     func() { s.must("DEL", n.keys.purges) },
		"FLUSHALL":   func() { s.must("FLUSHALL") },
		"FLUSHDB":    func() { s.must("FLUSHDB", "ASYNC") },
	} {
		t.Run(name, func(t *testing.T) {
			eventually(t, "both nodes find a record", func() bool { n.remember(key); return n.has(key) && other.has(key) })
			evict()
			eventually(t, "nothing is found", func() bool { return !n.has(key) && !other.has(key) })
			for _, node := range []*node{n, other} {
				if err := node.Save(t.Context(), old, newRecord(stamp), time.Hour); err != nil {
					t.Fatal(err)
				}
				if node.has(old) {
					t.Error("a record from before is found")
				}
			}
		})
	}
}

// A server that evicts all the time is of little use, but tells nobody anything old.
func TestServerThatEvicts(t *testing.T) {
	s := startServer(t, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
	n, other := join(t, optionsFor(s.address())), join(t, optionsFor(s.address()))
	for round := range 4000 {
		key := newKey(fmt.Sprintf("%d.example", round%50), fmt.Sprint("/", round))
		record := newRecord(n.stamp(key))
		record.AddField("X", strings.Repeat("x", 1000))
		if err := n.Save(t.Context(), key, record, time.Hour); err != nil {
			t.Fatal(err)
		}
		if round%10 != 0 {
			continue
		}
		other.has(key)
		if err := n.Forget(t.Context(), key.URI); err != nil {
			t.Fatal(err)
		}
		if n.has(key) {
			t.Fatal("what was forgotten is found")
		}
		eventually(t, "the other node is told", func() bool { return !other.has(key) })
	}
	if evicted, _ := s.must("INFO", "stats").ToString(); strings.Contains(evicted, "evicted_keys:0\r") {
		t.Error("nothing was evicted, so nothing was tried")
	}
}

// Under a policy that evicts what has a ttl, what says that something is out of date stays: records and dates give way,
// and nothing else.
func TestServerThatEvictsWhatHasATTL(t *testing.T) {
	s := startServer(t, "--maxmemory", "4mb", "--maxmemory-policy", "volatile-lru")
	n, first := join(t, optionsFor(s.address())), newKey("a.example", "/")
	n.remember(first)
	if err := n.Purge(t.Context(), validators.Scope{Host: "b.example"}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.FirstSeen(t.Context(), first, `"a"`, time.Now().Add(time.Hour), time.Hour); err != nil {
		t.Fatal(err)
	}
	lasting := []string{n.keys.purges, n.generationOf(first)}
	before := make(map[string]string)
	for _, name := range lasting {
		before[name], _ = s.must("GET", name).ToString()
		if left, _ := s.must("PTTL", name).AsInt64(); left != -1 || before[name] == "" {
			t.Errorf("%s is %q, for %d ms", name, before[name], left)
		}
	}
	for _, name := range []string{ofDigest(n.keys.record, first.Sum), n.dateOf(first).date} {
		if left, _ := s.must("PTTL", name).AsInt64(); left <= 0 {
			t.Errorf("%s cannot be evicted: %d ms", name, left)
		}
	}
	for i := range 4000 {
		key := newKey("a.example", fmt.Sprint("/", i))
		record := newRecord(n.stamp(key))
		record.AddField("X", strings.Repeat("x", 1000))
		if err := n.Save(t.Context(), key, record, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if evicted, _ := s.must("INFO", "stats").ToString(); strings.Contains(evicted, "evicted_keys:0\r") {
		t.Error("nothing was evicted, so nothing was tried")
	}
	for _, name := range lasting {
		if now, _ := s.must("GET", name).ToString(); now != before[name] {
			t.Errorf("%s was %q, and is %q", name, before[name], now)
		}
	}
}

// A replica that takes over without what the primary did last has the generations of before: what was forgotten since
// is found again, and no longer than its ttl. (Replication is in order: it is as if the last writes were undone.)
func TestAReplicaThatLags(t *testing.T) {
	s := startServer(t)
	n, key := join(t, optionsFor(s.address())), newKey("a.example", "/")
	record, ttl := newRecord(n.stamp(key)), 2*time.Second
	if err := n.Save(t.Context(), key, record, ttl); err != nil {
		t.Fatal(err)
	}
	saved := time.Now()
	undo := make(map[string]string)
	for _, name := range []string{n.keys.purges, n.generationOf(key)} {
		undo[name], _ = s.must("GET", name).ToString()
	}
	if err := n.Forget(t.Context(), key.URI); err != nil {
		t.Fatal(err)
	}
	if err := n.Purge(t.Context(), validators.Scope{Host: key.URI.Host}); err != nil || n.has(key) {
		t.Fatalf("forgotten and purged: %v", err)
	}
	for name, value := range undo {
		s.must("SET", name, value)
	}
	eventually(t, "it is as before", func() bool { return n.found(key) || time.Since(saved) > ttl })
	eventually(t, "its ttl ends it", func() bool { return !n.found(key) })
	if over := time.Since(saved); over > ttl+time.Second {
		t.Errorf("it ended %s after its ttl", over-ttl)
	}
	// What is newer than the undone writes is found and forgotten as ever.
	n.remember(key)
	if !n.has(key) {
		t.Error("nothing is remembered any more")
	}
	if err := n.Forget(t.Context(), key.URI); err != nil || n.has(key) {
		t.Errorf("nothing is forgotten any more: %v", err)
	}
}

func TestRubbishUnderTheKeys(t *testing.T) {
	s := startServer(t)
	n, key := join(t, optionsFor(s.address())), newKey("a.example", "/")
	record := ofDigest(n.keys.record, key.Sum)
	generation := func() string { return n.generationOf(key) } // another one when the log has been
	newer := newRecord(n.stamp(key))
	encoded, _ := newer.AppendBinary(nil)
	encoded[0]++ // of all there is in it only the version is wrong
	for name, put := range map[string]func(){
		"record":                  func() { s.must("SET", record, "rubbish") },
		"record of later version": func() { s.must("SET", record, string(encoded)) },
		"generation":              func() { s.must("SET", generation(), "rubbish") },
		"purges":                  func() { s.must("SET", n.keys.purges, "rubbish") },
		"purges with a bad line":  func() { s.must("SET", n.keys.purges, "5 0123456789abcdef 5\n6 a\n") },
		"purges out of order":     func() { s.must("SET", n.keys.purges, "5 0123456789abcdef 5\n6  \n6  \n") },
	} {
		t.Run(name, func(t *testing.T) {
			n.remember(key)
			if !n.has(key) {
				t.Fatal("no record is found")
			}
			put()
			eventually(t, "nothing is found", func() bool { return !n.found(key) })
			eventually(t, "a record is kept again", func() bool { return n.trySave(key) == nil && n.found(key) })
			if err := n.Purge(t.Context(), validators.Scope{Host: "a.example"}); err != nil || n.has(key) {
				t.Errorf("Purge: %v", err)
			}
		})
	}
}

// Keys of another type are errors of the server, and nothing else.
func TestKeysOfAnotherType(t *testing.T) {
	s := startServer(t)
	n, key := join(t, optionsFor(s.address())), newKey("a.example", "/")
	s.must("LPUSH", ofDigest(n.keys.record, key.Sum), "x")
	n.wantUnavailable(key)
	if err := n.Save(t.Context(), key, newRecord(n.stamp(newKey("a.example", "/"))), time.Hour); err != nil || !n.has(key) {
		t.Errorf("Save: %v", err)
	}
}

func TestThirdNodeFindsWhatIsThere(t *testing.T) {
	s := startServer(t)
	a, b, key := join(t, optionsFor(s.address())), join(t, optionsFor(s.address())), newKey("a.example", "/")
	gone := newKey("b.example", "/")
	a.remember(key)
	a.remember(gone)
	if err := b.Forget(t.Context(), gone.URI); err != nil {
		t.Fatal(err)
	}
	c := join(t, optionsFor(s.address()))
	if !c.has(key) || c.has(gone) {
		t.Error("a new node does not find what is there, or finds what was forgotten")
	}
}

// With the connection go the copies that it kept current.
func TestConnectionThatIsCut(t *testing.T) {
	s := startServer(t)
	n, other := join(t, optionsFor(s.address())), join(t, optionsFor(s.address()))
	for round := range 50 {
		key := newKey("a.example", fmt.Sprint("/", round))
		n.remember(key)
		if !n.has(key) {
			t.Fatal("no record is found")
		}
		for _, id := range s.clientsNamed("conditional_cache") {
			s.must("CLIENT", "KILL", "ID", id)
		}
		eventually(t, "the other node can forget", func() bool { return other.Forget(t.Context(), key.URI) == nil })
		eventually(t, "the node learns that it was cut off", func() bool { return !n.found(key) })
		eventually(t, "the node is connected again", func() bool { _, _, err := n.Load(t.Context(), key); return err == nil })
		if n.has(key) {
			t.Fatal("what was forgotten while the connection was down is found")
		}
	}
}

func (s *server) clientsNamed(name string) (ids []string) { //nolint:unparam // said where it is called
	s.t.Helper()
	list, _ := s.must("CLIENT", "LIST").ToString()
	for line := range strings.Lines(strings.TrimPrefix(list, "txt:")) {
		if words := strings.Fields(line); slices.Contains(words, "name="+name) {
			ids = append(ids, strings.TrimPrefix(words[0], "id="))
		}
	}
	return ids
}

// A node that is cut off without a sign answers from memory for two seconds or so, and no longer.
func TestConnectionThatDiesSilently(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	n, other, key := join(t, optionsFor(p.serve().address())), join(t, optionsFor(s.address())), newKey("a.example", "/")
	n.remember(key)
	if !n.has(key) {
		t.Fatal("no record is found")
	}
	p.held.Store(true)
	if err := other.Forget(t.Context(), key.URI); err != nil {
		t.Fatal(err)
	}
	held := time.Now()
	eventually(t, "nothing is found", func() bool { return !n.found(key) })
	if took := time.Since(held); took > 2*(2*silence+lastWord) {
		t.Errorf("was found for %s after the connection died", took)
	}
	p.held.Store(false)
	p.cut()
	n.awaitUp()
	if n.has(key) {
		t.Error("what was forgotten meanwhile is found")
	}
}

// What is in memory is not asked for, whether it is a record or that there is none.
func TestHitsAndMissesInMemory(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	n := join(t, optionsFor(p.serve().address()))
	key, none := newKey("a.example", "/"), newKey("a.example", "/")
	n.remember(key)
	now := time.Unix(1_800_000_000, 0)
	look := func() {
		if !n.has(key) || n.has(none) {
			t.Fatal("not what was saved")
		}
		if _, err := n.FirstSeen(t.Context(), key, `"a"`, now, time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := n.FirstSeen(t.Context(), key, `"b"`, now, time.Hour); !errors.Is(err, validators.ErrNoDate) {
			t.Fatalf("a second tag in the second of the first: %v", err)
		}
	}
	look()
	look()
	// Only signs of life may be asked for, of which there are few.
	before := p.asked.Load()
	for range 1000 {
		look()
	}
	if asked := p.asked.Load() - before; asked > 50 {
		t.Errorf("the server was asked %d times by 4000 calls", asked)
	}
}

// What is asked for once is kept for two days, and for a year after each time that it is asked for once more.
func TestLifeOfDates(t *testing.T) {
	const year = 365 * 24 * time.Hour
	s := startServer(t)
	n, key, now := join(t, optionsFor(s.address())), newKey("a.example", "/"), time.Unix(1_800_000_000, 0)
	names := n.dateOf(key)
	left := func(name string) time.Duration {
		ms, _ := s.must("PTTL", name).AsInt64()
		return time.Duration(ms) * time.Millisecond
	}
	see := func(tag string, at time.Time, least, most time.Duration) {
		t.Helper()
		seen, err := n.FirstSeen(t.Context(), key, tag, at, year)
		if err != nil || tag == `"a b"` && !seen.Equal(now) {
			t.Fatalf("%s, %v", seen, err)
		}
		for _, name := range []string{names.date, names.site} {
			if left := left(name); left < least-time.Minute || left > most {
				t.Errorf("%s is kept for %s, want %s to %s", name, left, least, most)
			}
		}
	}
	two, more := 48*time.Hour, year*9/8
	see(`"a b"`, now, two, two)
	see(`"a b"`, now, more, more)
	s.must("PEXPIRE", names.date, "5000") // as if nearly all of it were over
	see(`"a b"`, now.Add(more-year-time.Minute), 5*time.Second-time.Minute, more)
	if left := left(names.date); left > 5*time.Second {
		t.Errorf("was written though it is kept for long enough: %s", left)
	}
	see(`"a b"`, now.Add(more-year+time.Minute), more, more)
	if seen, err := n.FirstSeen(t.Context(), key, `"b"`, now.Add(more), year); err != nil || !seen.Equal(now.Add(more)) {
		t.Fatalf("%s, %v", seen, err)
	}
	if left := left(names.date); left > two {
		t.Errorf("a new tag is kept for %s", left)
	}
	if left := left(names.site); left < more-time.Minute {
		t.Errorf("the count is kept for %s", left)
	}
}

// Of two tags that take turns, the server is written to once in a second.
func TestTurnsOfTagsAreNotWritten(t *testing.T) {
	s := startServer(t)
	n, key, now := join(t, optionsFor(s.address())), newKey("a.example", "/"), time.Unix(1_800_000_000, 0)
	name, before := n.dateOf(key).date, n.Stats().Errors
	for range 10 {
		for _, tag := range []string{`"a"`, `"b"`} {
			_, _ = n.FirstSeen(t.Context(), key, tag, now, time.Hour)
		}
	}
	if kept, _ := s.must("GET", name).ToString(); !strings.HasPrefix(kept, "1800000000 ") || !strings.HasSuffix(kept, ` "a"`) {
		t.Errorf("kept is %q", kept)
	}
	if errs := n.Stats().Errors - before; errs != 0 {
		t.Errorf("that there is no date counts as %d errors", errs)
	}
}

func TestLongTagsAreKeptShort(t *testing.T) {
	s := startServer(t)
	n, key, now := join(t, optionsFor(s.address())), newKey("a.example", "/"), time.Unix(1_800_000_000, 0)
	if _, err := n.FirstSeen(t.Context(), key, strings.Repeat("x", 1<<20), now, time.Hour); err != nil {
		t.Fatal(err)
	}
	if kept, _ := s.must("GET", n.dateOf(key).date).ToString(); len(kept) == 0 || len(kept) > 200 {
		t.Errorf("%d octets are kept", len(kept))
	}
}

// A replica that cannot be written to is the wrong server, though it answers.
func TestServerThatBecomesAReplica(t *testing.T) {
	s := startServer(t)
	n, key := join(t, optionsFor(s.address())), newKey("a.example", "/")
	s.must("REPLICAOF", "127.0.0.1", "1")
	if err := n.Forget(t.Context(), key.URI); !errors.Is(err, validators.ErrUnavailable) || n.Stats().Available {
		t.Errorf("Forget: %v", err)
	}
	n.wantUnavailable(key)
	s.must("REPLICAOF", "NO", "ONE")
	n.awaitUp()
}

func TestPanicOfTheClientIsAnError(t *testing.T) {
	s := startServer(t)
	n := join(t, optionsFor(s.address()))
	_, err := call(t.Context(), n.store, func(context.Context, rueidis.Client) (remote, error) { panic("no") })
	if !errors.Is(err, validators.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Whatever the client waits for, its caller does not.
func TestClientThatDoesNotReturn(t *testing.T) {
	s := startServer(t)
	n := join(t, optionsFor(s.address()))
	n.options.timeout = defaultTimeout
	release := make(chan struct{})
	defer close(release)
	inTime(t, defaultTimeout, func() {
		_, err := call(t.Context(), n.store, func(context.Context, rueidis.Client) (remote, error) {
			<-release
			return remote{}, nil
		})
		if !errors.Is(err, validators.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

// What comes from memory says nothing about the server.
func TestHitsAreNoSuccesses(t *testing.T) {
	s := startServer(t)
	n := join(t, optionsFor(s.address()))
	n.failures.Store(8)
	for _, local := range []bool{true, false} {
		_, err := call(t.Context(), n.store, func(context.Context, rueidis.Client) (found, error) { return found{local: local}, nil })
		if failures := n.failures.Load(); err != nil || (failures == 8) != local {
			t.Errorf("from memory %t: %d failures are left of 8 (%v)", local, failures, err)
		}
	}
}

// Nothing runs before a store is used, nor after it was closed, however it was doing.
func TestNoGoroutineIsLeft(t *testing.T) {
	s := startServer(t)
	for name, use := range map[string]func(t *testing.T, n *node){
		"unused":      func(*testing.T, *node) {},
		"used":        func(_ *testing.T, n *node) { n.awaitUp(); n.remember(newKey("a.example", "/")) },
		"just begun":  func(_ *testing.T, n *node) { n.found(newKey("a.example", "/")) },
		"left alone":  func(_ *testing.T, n *node) { n.awaitUp(); n.leaveAlone(errRubbish); n.disconnect() },
		"in full use": func(t *testing.T, n *node) { t.Helper(); n.awaitUp(); useInBackground(t, n) },
		"paused": func(t *testing.T, n *node) {
			t.Helper()
			n.awaitUp()
			s.pause()
			t.Cleanup(s.resume)
			n.wantUnavailable(newKey("b.example", "/"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			o := optionsFor(s.address())
			if name == "paused" {
				o.timeout = defaultTimeout
			}
			n := newNode(t, o)
			if now := runtime.NumGoroutine(); now > before {
				t.Errorf("%d goroutines before use, %d after", before, now)
			}
			use(t, n)
			n.close()
			eventually(t, "no goroutine is left", nothingOfTheClientRuns)
			n.wantUnavailable(newKey("a.example", "/"))
			if n.Stats().Available {
				t.Error("a store that was closed is available")
			}
		})
	}
}

// nothingOfTheClientRuns reports whether no goroutine is in the client's code, or this package's beside tests.
func nothingOfTheClientRuns() bool {
	stacks := make([]byte, 1<<20)
	text := string(stacks[:runtime.Stack(stacks, true)])
	return !strings.Contains(text, "github.com/redis/rueidis.") && !strings.Contains(text, "validators/redis.(*store)")
}

// useInBackground has goroutines use a node that ends meanwhile.
func useInBackground(t *testing.T, n *node) {
	t.Helper()
	for range 8 {
		go func() {
			for n.state.Load() != closed {
				_ = n.trySave(newKey("a.example", "/"))
			}
		}()
	}
	eventually(t, "something is kept", func() bool { return n.Stats().Misses > 100 })
}

// A client that panics in the goroutine that looks after the connection is one that does not answer.
func TestPanicsOfTheClientAreFailures(t *testing.T) {
	s := newStore(optionsFor("127.0.0.1:1"))
	s.attach(zap.NewNop())
	defer s.cancel()
	var none rueidis.Client // calls of its methods panic
	s.client.Store(&none)
	if err := s.reach(); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("reach: %v", err)
	}
	s.untold.add(validators.Digest{7})
	if err := s.tell(); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("tell: %v", err)
	}
	if !s.untold.has(validators.Digest{7}) {
		t.Error("what was not told is not to be told any longer")
	}
}

// A server of a cluster names others, none of which is a file of this machine.
func TestSocketsAreThoseOfTheConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for address, want := range map[string]bool{path: true, "127.0.0.1:1": false} {
		s := newStore(optionsFor(address))
		conn, err := s.dialOne(t.Context(), path, new(net.Dialer), nil)
		if (err == nil) != want {
			t.Errorf("configured with %s: %v", address, err)
		}
		if err == nil {
			_ = conn.Close()
		}
		s.cancel()
	}
}

// A request that has waited for one call waits for the next one for what is left of the timeout, and that it gives up
// early says nothing of the server.
func TestTheCallsOfARequestShareTheTimeout(t *testing.T) {
	s := startServer(t)
	o := optionsFor(s.address())
	n := join(t, o)
	key, stamp := newKey("a.example", "/"), n.stamp(newKey("a.example", "/"))
	nearly := validators.WithWaited(t.Context(), o.timeout-time.Millisecond)
	s.pause()
	t.Cleanup(s.resume)
	began := time.Now()
	for i := range 2 * tooMuch {
		if _, _, err := n.Load(nearly, newKey("a.example", fmt.Sprint("/", i))); !errors.Is(err, validators.ErrUnavailable) {
			t.Fatalf("Load: %v", err)
		}
	}
	if took := time.Since(began); took > o.timeout {
		t.Errorf("that took %v, longer than the timeout of one call", took)
	}
	if err := n.Save(nearly, key, newRecord(stamp), time.Hour); !errors.Is(err, validators.ErrUnavailable) {
		t.Errorf("Save: %v", err)
	}
	if !n.Stats().Available {
		t.Error("the store is left alone")
	}
	s.resume()
	eventually(t, "what nobody has waited for is saved", func() bool { return n.found(key) })
}
