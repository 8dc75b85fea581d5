// Package robustness takes histories of three Caddys that share a Redis while parts of that are killed, paused and cut
// off, and has each of them judged by what the documents promise. It has tests only:
//
//	go test ./robustness   # the model only
//	GOFLAGS=-race go test -v ./robustness -run TestHistories -count=1 -histories 1m
//	GOFLAGS=-race go test -v ./robustness -run TestHistories -count=1 -histories 30m -clocks -timeout 1h
//
// A history is short, and has pages and one fault of its own. Which faults come is by chance, of which the log has the
// seed (-seed makes the same choices again, though not the same history); -faults has those only whose names match.
// The nodes are processes of cmd/caddy, with the race detector where GOFLAGS says so, and redis-server is Debian's. All
// traffic stays on 127.0.0.1.
//
// # The files
//
//	model_test.go       which answers there may be, as a model for porcupine: a register for each URL
//	promises_test.go    by when a node has to know of a write or a purge, under the faults that there were
//	cases_test.go       histories that pass, and such that must not, without a process
//	upstream_test.go    the upstream, which owns the truth: versions of pages, and who has asked for them
//	traffic_test.go     clients that read, revalidate, write and purge
//	failpoint_test.go   what is done to the parts
//	cluster_test.go     Caddys and Redis servers as processes
//	proxy_test.go       the network between them
//	shift_test.go       the clock of one of them
//	validate_test.go    a history against the model, and how old the answers from memory were
//	report_test.go      what a violation leaves: the history, a picture, the logs
//	histories_test.go   all of that together
//
// # What is judged
//
// The upstream knows which requests have reached it. What it has answered has to be what was true at some time between
// request and answer. A 304 from memory may be older, by as much as docs/redis.md and docs/scaling.md promise: the node
// that was written to knows at once, others two seconds after the answer at most, ten more where the node of the write
// was cut off itself, and never longer than the ttl. A node has to know of a purge in the same time.
//
// A guarded write that was answered with success was made upon the very version that its If-Match names, and is not lost;
// one that was refused was not made. The turns of guard_writes are kept in one process, so all writes to one guarded page
// go to one node, as docs/writes.md asks for, and none of them is without a condition.
//
// No read fails for want of a Redis, and none at all that is not asked of a node that was killed.
//
// # What is not
//
// What is lost with a Redis primary, or with a node that is killed before it could tell what was written there, the others
// learn when the ttl is over: this is what is promised. A primary is killed only: a partition of Redis servers among
// themselves is not tried, as sentinels tell the nodes addresses that no proxy stands before. The turn of a write that a
// killed node has sent and the upstream does later is lost with the node: the upstream here does no such thing.
package robustness
