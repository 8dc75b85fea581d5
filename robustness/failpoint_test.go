//go:build unix

package robustness

import (
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"
)

// failpoint is what is done to the parts in one history.
type failpoint struct {
	name     string
	sentinel bool          // it takes a Redis with a replica
	after    time.Duration // how long the traffic goes on, so that all that was promised is due
	shifted  time.Duration // by how much a clock is set, at most
	inject   func(i *injection)
}

const (
	// atOnce is for what is known within the window.
	atOnce = window + 2*time.Second
	// due is for what is known when a node is back.
	due = reconnecting + window + 3*time.Second
)

// failpoints are what there is to choose from.
var failpoints = []failpoint{
	{name: "nothing", after: atOnce, inject: func(*injection) { pause(2 * time.Second) }},
	{name: "a node is killed", after: atOnce, inject: (*injection).killNode},
	{name: "a node is paused", after: due, inject: (*injection).pauseNode},
	{name: "a node is cut off in silence", after: due, inject: (*injection).holdNode},
	{name: "a node is cut off in silence, and quiet", after: due, inject: (*injection).holdQuietNode},
	{name: "a node is cut off", after: due, inject: (*injection).dropNode},
	{name: "a node is killed while it is cut off", after: due, inject: (*injection).killNodeCutOff},
	{name: "one node is cut off, another paused", after: due, inject: (*injection).dropAndPause},
	{name: "redis is killed", after: due, inject: (*injection).killRedis},
	{name: "redis is paused", after: due, inject: (*injection).pauseRedis},
	{name: "redis fails over", sentinel: true, after: due, inject: (*injection).failOver},
	{name: "a node is killed beside sentinels", sentinel: true, after: atOnce, inject: (*injection).killNode},
	{name: "a clock is set forward", after: atOnce, shifted: time.Hour, inject: func(i *injection) { i.setClock(time.Hour) }},
	{name: "a clock is set back", after: atOnce, shifted: 20 * time.Second, inject: func(i *injection) { i.setClock(-20 * time.Second) }},
}

// injection is one fault while it is there.
type injection struct {
	cluster *cluster
	traffic *traffic
	chance  *rand.Rand
	name    string
	faults  []fault
}

// during takes down that a fault was there while do ran.
func (i *injection) during(e effect, node int, do func()) {
	f := fault{Name: i.name, Effect: e, Node: node, From: i.traffic.since()}
	do()
	f.To = i.traffic.since()
	i.faults = append(i.faults, f)
}

// between waits for a time by chance.
func (i *injection) between(least, most time.Duration) {
	pause(least + time.Duration(i.chance.Int64N(int64(most-least))))
}

func (i *injection) anyNode() (int, *node) {
	number := i.chance.IntN(nodes)
	return number, i.cluster.nodes[number]
}

func (i *injection) killNode() {
	number, n := i.anyNode()
	i.during(killed, number, func() { i.restart(n) })
}

func (i *injection) restart(n *node) {
	n.kill()
	i.between(300*time.Millisecond, time.Second) // longer than the upstream takes for what it has begun
	n.start()
}

func (i *injection) pauseNode() {
	number, n := i.anyNode()
	i.during(cut, number, func() { i.stop(&n.process) })
}

func (i *injection) stop(p *process) {
	p.signal(syscall.SIGSTOP)
	i.between(500*time.Millisecond, 4*time.Second)
	p.signal(syscall.SIGCONT)
}

func (i *injection) holdNode() {
	number, n := i.anyNode()
	i.during(cut, number, func() {
		n.redis.hold()
		i.traffic.writeOnce(number)
		i.between(time.Second, 5*time.Second)
		n.redis.heal()
	})
}

// holdQuietNode is for how long copies are believed: where a node has other business with the server, it knows earlier
// that it is cut off.
func (i *injection) holdQuietNode() {
	number, n := i.anyNode()
	i.traffic.quiet.Store(int32(number + 1))
	defer i.traffic.quiet.Store(0)
	pause(time.Second) // for what is under way
	i.during(cut, number, func() {
		n.redis.hold()
		i.traffic.writeOnce((number + 1) % nodes)
		i.between(4*time.Second, 6*time.Second)
		n.redis.heal()
	})
}

func (i *injection) dropNode() {
	number, n := i.anyNode()
	i.during(cut, number, func() {
		n.redis.drop()
		i.traffic.writeOnce(number)
		i.between(500*time.Millisecond, 4*time.Second)
		n.redis.heal()
	})
}

func (i *injection) killNodeCutOff() {
	number, n := i.anyNode()
	i.during(cut, number, func() {
		n.redis.hold()
		i.between(time.Second, 2*time.Second)
		i.during(killed, number, func() { i.restart(n) })
		i.between(500*time.Millisecond, 2*time.Second)
		n.redis.heal()
	})
}

func (i *injection) dropAndPause() {
	number, n := i.anyNode()
	i.during(cut, number, func() {
		n.redis.drop()
		other := (number + 1) % nodes
		i.during(cut, other, func() { i.stop(&i.cluster.nodes[other].process) })
		n.redis.heal()
	})
}

// killRedis has it come back with nothing in it.
func (i *injection) killRedis() {
	redis := i.cluster.servers[0]
	i.during(cut, allNodes, func() {
		redis.kill()
		i.traffic.writeOnce(i.chance.IntN(nodes))
		i.between(500*time.Millisecond, 3*time.Second)
		redis.start()
		redis.await()
	})
}

func (i *injection) pauseRedis() {
	redis := i.cluster.servers[0]
	i.during(cut, allNodes, func() {
		redis.signal(syscall.SIGSTOP)
		i.traffic.writeOnce(i.chance.IntN(nodes))
		i.between(0, 3*time.Second)
		redis.signal(syscall.SIGCONT)
	})
}

// failOver kills the primary, and makes a replica of it when the other one is primary.
func (i *injection) failOver() {
	old, next := i.cluster.servers[0], i.cluster.servers[1]
	i.during(cut, allNodes, func() {
		i.during(lost, allNodes, func() {
			old.kill()
			await(i.cluster.t, "another primary", func() bool { return strings.Contains(next.ask("ROLE"), "master") })
		})
	})
	host, port, _ := net.SplitHostPort(next.address)
	old.args = append(old.args, "--replicaof", host+" "+port)
	old.start()
	old.await()
	i.cluster.servers[0], i.cluster.servers[1] = next, old
}

// setClock sets the clock of a node, and then right again.
func (i *injection) setClock(by time.Duration) {
	number, n := i.anyNode()
	i.during("", number, func() {
		n.shift(by)
		i.between(3*time.Second, 6*time.Second)
		n.shift(0)
	})
}
