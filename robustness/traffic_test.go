//go:build unix

package robustness

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	clients = 6
	// answerIn is how long a client waits: longer than a node is ever paused.
	answerIn = 15 * time.Second
)

// target is one page that clients deal with.
type target struct {
	path string
	kind kind // what changes it
	home int  // the node that all guarded writes go to
	rare int  // one in so many writes that could be made to it is

	// apart: each client reads it at one node only, and keeps to the version that it has. So nobody brings the news of a
	// write from one node to another but the nodes themselves.
	apart bool
	// once: nobody writes it but one node, once, and that node is not asked for it any more. So the others hear of it when
	// that node tells the server, and in no other way. It is apart as well.
	once bool
}

// targets are the pages of one history. Their paths are in no other one.
func targets(number int) []target {
	var all []target
	for k, kind := range []kind{writing, guardedWrite, editing} {
		for t, tag := range []string{"own", "made"} {
			for i, rare := range []int{1, 4, 4} {
				path := fmt.Sprintf("/%d/%s/%s/%d", number, strings.ReplaceAll(string(kind), " ", "-"), tag, i)
				all = append(all, target{path: path, kind: kind, home: (number + k + t + i) % nodes, rare: rare, apart: i == 2})
			}
		}
	}
	for _, tag := range []string{"own", "made"} {
		all = append(all, target{path: fmt.Sprintf("/%d/once/%s", number, tag), kind: writing, apart: true, once: true})
	}
	return all
}

// traffic is what clients do in one history.
type traffic struct {
	cluster *cluster
	targets []target
	begun   time.Time
	// quiet is a node, counted from 1, that is asked for nothing but what it may have in memory: each call that has failed
	// would tell it that it is cut off. 0: none is.
	quiet atomic.Int32
	// writer is the node, counted from 1, that has written what is written once.
	writer atomic.Int32

	mu         sync.Mutex
	operations []*operation
}

func (tr *traffic) since() time.Duration { return time.Since(tr.begun) }

// run lets the clients do what they do until the context ends, and returns what there was.
func (tr *traffic) run(ctx context.Context, seed uint64) []*operation {
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { newClient(tr, i, seed).run(ctx) })
	}
	all.Wait()
	tr.cluster.upstream.late.Wait()
	for _, o := range tr.operations {
		tr.cluster.upstream.complete(o, tr.begun)
	}
	return tr.operations
}

// client does one thing after the other, at any of the nodes. It has stored the page that it has seen last.
type client struct {
	*traffic
	number int
	count  int
	chance *rand.Rand
	http   http.Client
	stored map[string]stored
}

type stored struct {
	etag    string
	version int
}

func newClient(tr *traffic, number int, seed uint64) *client {
	return &client{
		traffic: tr, number: number, chance: rand.New(rand.NewPCG(seed, uint64(number))), stored: make(map[string]stored),
		http: http.Client{Timeout: answerIn, Transport: &http.Transport{DisableCompression: true}},
	}
}

func (c *client) run(ctx context.Context) {
	defer c.http.CloseIdleConnections()
	for ctx.Err() == nil {
		c.act()
		pause(time.Duration(2+c.chance.IntN(20)) * time.Millisecond)
	}
}

// isQuiet reports whether a node is to be left in peace.
func (tr *traffic) isQuiet(node int) bool { return int(tr.quiet.Load()) == node+1 }

// act is mostly a revalidation: who has an old version asks for nothing else as long as it is told that it is current.
func (c *client) act() {
	to := c.targets[c.chance.IntN(len(c.targets))]
	switch p := c.chance.IntN(100); {
	case to.once:
		c.readOnce(to)
	case p < 5 && c.chance.IntN(to.rare) == 0:
		c.change(to)
	case p == 5 || p < 9 && to.kind == editing:
		c.purge(to)
	case p < 14 && !to.apart:
		c.read(c.newOperation(reading, to), to, stored{})
	default:
		o := c.newOperation(reading, to)
		if to.apart {
			o.Node = c.number % nodes
		}
		c.read(o, to, c.stored[to.path])
	}
}

// readOnce reads what is written once.
func (c *client) readOnce(to target) {
	o := c.newOperation(reading, to)
	if o.Node = c.number % nodes; int(c.writer.Load()) != o.Node+1 {
		c.read(o, to, c.stored[to.path])
	}
}

// writeOnce writes what is written once.
func (tr *traffic) writeOnce(node int) {
	tr.writer.Store(int32(node + 1))
	c := newClient(tr, clients, 0)
	defer c.http.CloseIdleConnections()
	for _, to := range tr.targets {
		if to.once {
			o := c.newOperation(writing, to)
			o.Node = node
			c.do(o, http.MethodPut, nil)
		}
	}
}

// askAgain asks the node that has done something at once for what it has done it to.
func (c *client) askAgain(done *operation, to target) {
	o := c.newOperation(reading, to)
	o.Node = done.Node
	c.read(o, to, c.stored[to.path])
}

func (c *client) newOperation(k kind, to target) *operation {
	c.count++
	node := c.chance.IntN(nodes)
	if c.isQuiet(node) {
		node = (node + 1) % nodes
	}
	return &operation{
		Client: c.number, Node: node, Kind: k, URL: to.path,
		ID: fmt.Sprintf("%s-%d-%d", to.path, c.number, c.count), Call: c.since(),
	}
}

func (c *client) read(o *operation, to target, has stored) {
	var fields []string
	if has.etag != "" {
		o.Named, fields = has.version, []string{"If-None-Match", has.etag}
	}
	header, body := c.do(o, http.MethodGet, fields)
	if o.Status != http.StatusOK {
		return
	}
	if _, err := fmt.Sscanf(body, to.path+" %d\n", &o.Version); err != nil {
		o.Version, o.Error = -1, "this is another page: "+body // no version that ever was
		return
	}
	c.stored[to.path] = stored{header.Get("Etag"), o.Version}
}

// change is a write, one in thirty of which the upstream does not answer and does later.
func (c *client) change(to target) {
	o := c.newOperation(to.kind, to)
	var fields []string
	if to.kind == editing {
		c.cluster.upstream.make(to.path, o.ID)
		o.Return, o.Status = c.since(), http.StatusNoContent
		c.keep(o)
		return
	}
	if to.kind == guardedWrite {
		has := c.stored[to.path]
		if has.etag == "" || c.isQuiet(to.home) {
			return
		}
		o.Node, o.Named, fields = to.home, has.version, []string{"If-Match", has.etag}
	}
	if c.chance.IntN(30) == 0 {
		fields = append(fields, lateField, (time.Duration(c.chance.IntN(2000)) * time.Millisecond).String())
	}
	c.do(o, http.MethodPut, fields)
	if !to.apart {
		c.askAgain(o, to)
	}
}

// do sends a request, and keeps what came of it.
func (c *client) do(o *operation, method string, fields []string) (http.Header, string) {
	defer c.keep(o)
	r := request(context.Background(), method, c.cluster.nodes[o.Node].address, o.URL, o.ID, fields...)
	o.Call = c.since()
	return c.answer(o, r)
}

func (c *client) answer(o *operation, r *http.Request) (http.Header, string) {
	response, err := c.http.Do(r)
	if err != nil {
		o.Return, o.Error = c.since(), err.Error()
		return nil, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	o.Return, o.Status = c.since(), response.StatusCode
	if err != nil {
		o.Status, o.Error = 0, err.Error()
	}
	return response.Header, string(body)
}

// purge is by URL or by prefix, which are two ways through a store.
func (c *client) purge(to target) {
	o := c.newOperation(purging, to)
	by := []string{"url", "prefix"}[c.chance.IntN(2)]
	text := fmt.Sprintf(`{"%s": "http://%s%s"}`, by, site, to.path)
	r, err := http.NewRequest(http.MethodPost, "http://"+c.cluster.nodes[o.Node].admin+"/conditional_cache/purge", strings.NewReader(text))
	if err != nil {
		panic(err)
	}
	c.answer(o, r)
	c.keep(o)
	c.askAgain(o, to)
}

func (tr *traffic) keep(o *operation) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.operations = append(tr.operations, o)
}
