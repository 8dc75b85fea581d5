package redis

import (
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/storetest"
)

func TestContract(t *testing.T) {
	s := startServer(t)
	storetest.Run(t, func(t *testing.T) validators.Store {
		t.Helper()
		return ready(t, node(t, s))
	})
}

func TestSharedContract(t *testing.T) {
	s := startServer(t)
	storetest.RunShared(t, func(t *testing.T) (a, b validators.Store) {
		t.Helper()
		return ready(t, node(t, s)), ready(t, node(t, s))
	})
}

// TestHitsAskNobody: what was read once is answered without the server, until another node changes it.
func TestHitsAskNobody(t *testing.T) {
	s := startServer(t)
	a, b := ready(t, node(t, s)), ready(t, node(t, s))
	saved(t, a, "/page", `"1"`)
	for _, r := range []*Redis{a, b} {
		if tag := tagOf(t, r, "/page"); tag != `"1"` {
			t.Fatalf("got %s", tag)
		}
	}
	s.pause() // nobody could answer
	for range 100 {
		if tag := tagOf(t, b, "/page"); tag != `"1"` {
			t.Fatalf("with the server paused: got %s", tag)
		}
	}
	s.resume()
	saved(t, a, "/page", `"2"`)
	await(t, "the other node's record", func() bool { return tagOf(t, b, "/page") == `"2"` })
	if err := a.Forget(t.Context(), keyOf("/page").URI); err != nil {
		t.Fatal(err)
	}
	await(t, "the other node to forget", func() bool { return tagOf(t, b, "/page") == "" })
}

// TestMissesAskNobodyTwice: nor does what is known not to be there.
func TestMissesAskNobodyTwice(t *testing.T) {
	s := startServer(t)
	r := ready(t, node(t, s))
	for range 2 { // the first makes a generation
		if tag := tagOf(t, r, "/nothing"); tag != "" {
			t.Fatalf("got %s", tag)
		}
	}
	s.pause()
	defer s.resume()
	if tag := tagOf(t, r, "/nothing"); tag != "" {
		t.Errorf("with the server paused: got %q", tag)
	}
}

// TestServerNotThere: nothing waits for a server that is not there, and it is used once it is.
func TestServerNotThere(t *testing.T) {
	s := prepareServer(t)
	r := node(t, s)
	for range 100 {
		if tag := tagOf(t, r, "/page"); tag != "?" {
			t.Fatalf("got %q", tag)
		}
	}
	if stats := r.Stats(); stats.Available || stats.Errors != 100 {
		t.Errorf("got %+v", stats)
	}
	s.start()
	ready(t, r)
	saved(t, r, "/page", `"1"`)
	if stats := r.Stats(); !stats.Available || tagOf(t, r, "/page") != `"1"` {
		t.Errorf("got %+v", stats)
	}
}

// TestServerKilled: a record is not answered from a copy once the server is gone, and not at all when it comes back
// empty. What was to be forgotten meanwhile is.
func TestServerKilled(t *testing.T) {
	s := startServer(t)
	r := ready(t, node(t, s))
	saved(t, r, "/page", `"1"`)
	s.kill()
	await(t, "the end of the connection", func() bool { return tagOf(t, r, "/page") == "?" })
	if err := r.Forget(t.Context(), keyOf("/page").URI); err == nil {
		t.Error("a server that is gone has forgotten something")
	}
	s.start()
	await(t, "the server to be used again", func() bool { return tagOf(t, r, "/page") == "" })
	saved(t, r, "/page", `"2"`)
	if tag := tagOf(t, r, "/page"); tag != `"2"` {
		t.Errorf("got %s", tag)
	}
}

// TestServerPaused: calls end by the timeout, the server is left alone after a few, copies are not believed for long,
// and what could not be forgotten is forgotten for all nodes before anything is believed again.
func TestServerPaused(t *testing.T) {
	s := startServer(t)
	short := func(r *Redis) { r.Timeout = 50e6 }
	a, b := ready(t, node(t, s, short)), ready(t, node(t, s))
	saved(t, a, "/page", `"1"`)
	if tag := tagOf(t, b, "/page"); tag != `"1"` {
		t.Fatalf("got %s", tag)
	}
	s.pause()
	start := time.Now()
	for i := range 200 {
		if err := a.Save(t.Context(), keyOf("/page"), validators.Record{Received: time.Now()}, time.Hour); err == nil {
			t.Fatalf("call %d: a paused server has answered", i)
		}
	}
	if waited := time.Since(start); waited > 5*time.Second { // 10 s, if each waited for the timeout
		t.Errorf("200 calls have taken %v", waited)
	}
	if err := a.Forget(t.Context(), keyOf("/page").URI); err == nil {
		t.Error("a paused server has forgotten something")
	}
	if tag := tagOf(t, a, "/page"); tag != "?" {
		t.Errorf("what could not be forgotten is answered: %s", tag)
	}
	await(t, "copies not to be believed", func() bool { return tagOf(t, b, "/page") == "?" })
	s.resume()
	for _, r := range []*Redis{a, b} {
		await(t, "it to be forgotten", func() bool { return tagOf(t, r, "/page") == "" })
	}
}

// TestConnectionCut: a copy whose connection is gone is not believed, as nobody has told of changes since.
func TestConnectionCut(t *testing.T) {
	s := startServer(t)
	a, b := ready(t, node(t, s)), ready(t, node(t, s))
	for round := range 20 {
		saved(t, a, "/page", `"1"`)
		await(t, "the record", func() bool { return tagOf(t, b, "/page") == `"1"` })
		s.do("CLIENT", "KILL", "TYPE", "normal")
		await(t, "forgetting", func() bool { return a.Forget(t.Context(), keyOf("/page").URI) == nil })
		// Nobody tells the other one, but that its connection has ended.
		await(t, "the other node", func() bool { return tagOf(t, b, "/page") == "" })
		if tag := tagOf(t, b, "/page"); tag == `"1"` {
			t.Fatalf("round %d: answered from before: %s", round, tag)
		}
	}
}

// TestServerFull: a server that is full answers, and forgets.
func TestServerFull(t *testing.T) {
	s := startServer(t)
	r := ready(t, node(t, s))
	saved(t, r, "/page", `"1"`)
	s.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	s.do("CONFIG", "SET", "maxmemory", "1mb")
	for range 10 {
		if err := r.Save(t.Context(), keyOf("/other"), validators.Record{Received: time.Now()}, time.Hour); err == nil {
			t.Fatal("a full server has saved a record")
		}
	}
	if tag := tagOf(t, r, "/page"); tag != `"1"` {
		t.Errorf("got %s", tag)
	}
	if err := r.Forget(t.Context(), keyOf("/page").URI); err != nil {
		t.Error(err)
	}
	if tag := tagOf(t, r, "/page"); tag == `"1"` {
		t.Error("not forgotten")
	}
	if err := r.Purge(t.Context(), validators.Scope{}); err != nil {
		t.Error(err)
	}
	s.do("CONFIG", "SET", "maxmemory", "0")
	await(t, "room", func() bool { return tagOf(t, r, "/page") == "" })
}

// TestLostKeysAreMisses: whatever the server loses, it is never a way back to what was forgotten.
func TestLostKeysAreMisses(t *testing.T) {
	s := startServer(t)
	r := ready(t, node(t, s))
	generation, record := r.store.generationKey(bucketOf(keyOf("/page").URI)), r.store.recordKey(keyOf("/page"))
	for name, lose := range map[string]func(){
		"everything":     func() { s.do("FLUSHALL") },
		"the generation": func() { s.do("DEL", generation) },
		"the log":        func() { s.do("DEL", r.store.purgesKey()) },
		"the record":     func() { s.do("DEL", record) },
		"its type":       func() { s.do("DEL", record); s.do("LPUSH", record, "x") },
		"the log's type": func() { s.do("SET", r.store.purgesKey(), "x") },
		"its version":    func() { s.do("SETRANGE", record, "0", "\x02") },
		"its end":        func() { s.do("SET", record, "\x01") },
		"all types":      func() { s.do("DEL", generation); s.do("LPUSH", generation, "x") },
	} {
		s.do("FLUSHALL")
		await(t, "the server's news", func() bool { return tagOf(t, r, "/page") == "" })
		saved(t, r, "/page", `"1"`)
		if tag := tagOf(t, r, "/page"); tag != `"1"` {
			t.Fatalf("before: got %q", tag)
		}
		lose()
		await(t, name+" to be lost", func() bool { return tagOf(t, r, "/page") != `"1"` })
	}
}

// TestGenerationsAreNotRepeated: a slow request that began before an eviction is not remembered after it.
func TestGenerationsAreNotRepeated(t *testing.T) {
	s := startServer(t)
	r := ready(t, node(t, s))
	_, stamp, err := r.Load(t.Context(), keyOf("/page"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(t.Context(), keyOf("/page").URI); err != nil {
		t.Fatal(err)
	}
	s.do("DEL", r.store.generationKey(bucketOf(keyOf("/page").URI)))
	record := validators.Record{Stamp: stamp, ETag: `"old"`, Received: time.Now(), Lifetime: time.Hour}
	if err := r.Save(t.Context(), keyOf("/page"), record, time.Hour); err != nil {
		t.Fatal(err)
	}
	if tag := tagOf(t, r, "/page"); tag != "" {
		t.Errorf("remembered: %s", tag)
	}
}

// TestWrongPassword: nothing is remembered, and no secret is in an error.
func TestWrongPassword(t *testing.T) {
	s := startServer(t, "--requirepass", "right")
	if tag := tagOf(t, node(t, s, func(r *Redis) { r.Password = "wrong" }), "/page"); tag != "?" {
		t.Errorf("got %q", tag)
	}
	r := ready(t, node(t, s, func(r *Redis) { r.Password = "right" }))
	saved(t, r, "/page", `"1"`)
}

// TestWithoutTracking: where the server does not tell of changes, it is asked each time.
func TestWithoutTracking(t *testing.T) {
	s := startServer(t)
	s.do("ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@all", "-client|tracking")
	a := ready(t, node(t, s, func(r *Redis) { r.Username, r.Password = "plain", "secret" }))
	b := ready(t, node(t, s))
	saved(t, a, "/page", `"1"`)
	for tag, change := range map[string]func(){`"1"`: func() {}, `"2"`: func() { saved(t, b, "/page", `"2"`) }} {
		change()
		if got := tagOf(t, a, "/page"); got != tag && tag == `"2"` {
			t.Errorf("got %s, want %s", got, tag)
		}
	}
	if err := b.Forget(t.Context(), keyOf("/page").URI); err != nil {
		t.Fatal(err)
	}
	if tag := tagOf(t, a, "/page"); tag != "" {
		t.Errorf("got %s", tag)
	}
}

// TestSocket: over a unix socket, and in another database.
func TestSocket(t *testing.T) {
	s := startServer(t)
	r := ready(t, node(t, s, func(r *Redis) { r.Address, r.DB = []string{"unix/" + s.dir + "/socket"}, 3 }))
	saved(t, r, "/page", `"1"`)
	if tag := tagOf(t, ready(t, node(t, s)), "/page"); tag != "" {
		t.Errorf("another database has %s", tag)
	}
}

// TestThirdNode: who joins later finds what the others have kept.
func TestThirdNode(t *testing.T) {
	s := startServer(t)
	a, b := ready(t, node(t, s)), ready(t, node(t, s))
	saved(t, a, "/page", `"1"`)
	saved(t, b, "/other", `"2"`)
	c := ready(t, node(t, s))
	if one, two := tagOf(t, c, "/page"), tagOf(t, c, "/other"); one != `"1"` || two != `"2"` {
		t.Errorf("got %q and %q", one, two)
	}
	if tag := tagOf(t, ready(t, node(t, s, func(r *Redis) { r.KeyPrefix = "x:" })), "/page"); tag != "" {
		t.Errorf("under another prefix: %s", tag)
	}
}
