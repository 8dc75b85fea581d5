package memory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/memory"
)

const moduleID = validators.StoreNamespace + ".memory"

// configuration is one that Caddy has loaded, and its end.
func configuration(t *testing.T) (caddy.Context, context.CancelFunc) {
	t.Helper()
	ctx, end := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(end)
	return ctx, end
}

// provision loads the module as Caddy does: what it loads is cleaned up at the end of the configuration, and at
// once if provisioning fails.
func provision(ctx caddy.Context, config string) (validators.Store, error) {
	module, err := ctx.LoadModuleByID(moduleID, json.RawMessage(config))
	if err != nil {
		return nil, err
	}
	return module.(validators.Store), nil
}

func mustProvision(t *testing.T, ctx caddy.Context, config string) validators.Store {
	t.Helper()
	s, err := provision(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecordsSurviveAReload(t *testing.T) {
	first, endFirst := configuration(t)
	key, config := numbered(1), `{"max_entries": 1001}`
	fill(t, mustProvision(t, first, config), []validators.Key{key})
	for range 3 {
		next, endNext := configuration(t)
		s := mustProvision(t, next, config)
		endFirst()
		if !has(t, s, key) {
			t.Fatal("the record is gone after a reload")
		}
		endFirst = endNext
	}
	endFirst()
	last, _ := configuration(t)
	if has(t, mustProvision(t, last, config), key) {
		t.Error("the record has survived the end of all configurations")
	}
}

func TestOtherOptionsAreAnotherStore(t *testing.T) {
	ctx, _ := configuration(t)
	key := numbered(1)
	fill(t, mustProvision(t, ctx, `{"max_entries": 1002}`), []validators.Key{key})
	if has(t, mustProvision(t, ctx, `{"max_entries": 1003}`), key) {
		t.Error("two stores of other sizes share their records")
	}
	fill(t, mustProvision(t, ctx, `{}`), []validators.Key{key})
	if !has(t, mustProvision(t, ctx, `{"max_entries": 100000}`), key) {
		t.Error("the default said aloud is another store")
	}
}

func TestAFailedReloadReleasesNothing(t *testing.T) {
	running, _ := configuration(t)
	key, config := numbered(1), `{"max_entries": 1004}`
	s := mustProvision(t, running, config)
	fill(t, s, []validators.Key{key})
	for range 3 {
		failing, endFailing := configuration(t)
		mustProvision(t, failing, config) // before something else fails
		if _, err := provision(failing, `{"max_entries": -1}`); err == nil {
			t.Fatal("-1 entries are accepted")
		}
		endFailing()
	}
	next, _ := configuration(t)
	if !has(t, mustProvision(t, next, config), key) {
		t.Error("a failed reload has released the records of the running configuration")
	}
}

func TestCleanupGivesBackOnce(t *testing.T) {
	ctx, _ := configuration(t)
	key, config := numbered(1), `{"max_entries": 1005}`
	s := mustProvision(t, ctx, config)
	fill(t, s, []validators.Key{key})
	other := &memory.Store{MaxEntries: 1005}
	if err := other.Cleanup(); err != nil { // was never provisioned
		t.Fatal(err)
	}
	if err := other.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := other.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	if !has(t, mustProvision(t, ctx, config), key) {
		t.Error("one store has given back what another one has")
	}
}

func TestCleanupUnderLiveRequests(t *testing.T) {
	ctx, end := configuration(t)
	s, keys := mustProvision(t, ctx, `{"max_entries": 1006}`), numberedKeys(100)
	fill(t, s, keys)
	var requests sync.WaitGroup
	ended := make(chan struct{})
	for range 4 {
		requests.Go(func() {
			<-ended
			for _, key := range keys {
				if !has(t, s, key) {
					t.Error("a request that still runs has lost its record")
				}
			}
			fill(t, s, keys)
		})
		requests.Go(func() { fill(t, s, keys) })
	}
	end()
	close(ended)
	requests.Wait()
}

func TestRefusedJSON(t *testing.T) {
	ctx, _ := configuration(t)
	for _, config := range []string{
		`{"max_entries": -1}`, `{"max_entries": 100000001}`, `{"max_entries": "1"}`, `{"max_entries": 1.5}`, `{"entries": 1}`,
		`{"max_first_seen": -1}`, `{"max_first_seen": 100000001}`,
	} {
		if _, err := provision(ctx, config); err == nil {
			t.Errorf("%s is accepted", config)
		}
	}
	for _, n := range []int{-1, 100_000_001} {
		if _, err := memory.New(memory.Options{MaxEntries: n}); err == nil {
			t.Errorf("New accepts %d entries", n)
		}
	}
}

func unmarshal(input string) (caddyfile.Unmarshaler, error) {
	d := caddyfile.NewTestDispenser(input)
	d.Next()
	return caddyfile.UnmarshalModule(d, moduleID)
}

func TestCaddyfile(t *testing.T) {
	for input, want := range map[string]string{
		"memory":                              `{}`,
		"memory {\n}":                         `{}`,
		"memory {\n max_entries 1\n}":         `{"max_entries":1}`,
		"memory {\n max_entries 100000000\n}": `{"max_entries":100000000}`,
		"memory {\n max_first_seen 5\n}":      `{"max_first_seen":5}`,
	} {
		s, err := unmarshal(input)
		if err != nil {
			t.Errorf("%q: %v", input, err)
		} else if got := string(caddyconfig.JSON(s, nil)); got != want {
			t.Errorf("%q: got %s, want %s", input, got, want)
		}
	}
}

func TestRefusedCaddyfile(t *testing.T) {
	for input, want := range map[string]string{
		"memory 5":                                      `unexpected "5": memory has its options in a block, such as memory { max_entries 100000 } (with a line break at each brace), at Testfile:1`,
		"memory {\n entries 5\n}":                       `unrecognized subdirective "entries"; memory knows max_entries and max_first_seen, at Testfile:2`,
		"memory {\n max_entries\n}":                     `max_entries takes one number, such as max_entries 100000, not 0 arguments, at Testfile:2`,
		"memory {\n max_entries 5 6\n}":                 `max_entries takes one number, such as max_entries 100000, not 2 arguments, at Testfile:2`,
		"memory {\n max_entries 5\n\n max_entries 5\n}": `max_entries is there twice, at Testfile:4`,
		"memory {\n max_first_seen 0\n}":                `max_first_seen has to be a whole number from 1 to 100000000, such as 100000, not "0", at Testfile:2`,
		"memory {\n max_entries 5 {\n  a\n }\n}":        `unrecognized subdirective "{"`,
	} {
		_, err := unmarshal(input)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", input, err, want)
		}
	}
	for _, n := range []string{"0", "-1", "+x", "1.5", "1e5", "100000001", "99999999999999999999", "10k", ""} {
		_, err := unmarshal(fmt.Sprintf("memory {\n max_entries %q\n}", n))
		want := fmt.Sprintf("max_entries has to be a whole number from 1 to 100000000, such as 100000, not %q, at Testfile:2", n)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", n, err, want)
		}
	}
}
