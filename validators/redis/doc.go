// Package redis is a store of `remember` that many nodes share: the module http.conditional_cache.stores.redis.
//
//	remember {
//		store redis {
//			address redis.internal:6379
//		}
//	}
//
// Each process keeps copies of the records that it has used. The server knows which keys a process has copies of, and
// pushes a message when one of them changes (client-side caching, CLIENT TRACKING of Redis 6 and later). So what one node
// forgets or purges, all nodes forget as soon as a message has arrived.
//
// # What is kept at the server
//
// All keys begin with the prefix and the version of this layout, here 2:
//
//	2:r:<32 hex digits>  a record, as encoded by package validators; expires
//	2:g:<4 hex digits>   the generation of a bucket of URIs: eight random octets, without expiry
//	2:p                  the log of purges, and the seed of the buckets, without expiry
//	2:f:{<16>}<32 hex digits>  when an entity tag was first seen; expires. What is in braces stands for the site
//	2:n:{<16>}           a sorted set of these, to count them by; expires with the last of them
//	2:a:{<a generation>} never written; read to see whether its node answers
//	2:t:<32 hex digits>  written to find out whether the server keeps this process informed; expires
//
// A URI belongs to one of 65,536 buckets, by its Sum and a random seed. The seed is not known outside, so nobody can choose
// a URI to write to that shares its bucket with another page. To forget a URI is to write a new generation of its bucket. A
// record counts only while the generation in its stamp is the current one.
//
// A generation is random and never comes back. When it is evicted or flushed, or the server starts empty, the next one is
// different, and every record of the bucket is out of date. The same holds for the log of purges, whose numbers are the
// server's clock, made strictly increasing. So the loss of any key, or of all, costs hits and never brings back what was
// forgotten.
//
// # What it does not promise
//
// Replication of Redis is asynchronous. If a primary confirms a write and loses it in a failover, what was forgotten may be
// answered again.
//
// A node that is cut off from the server without noticing answers from its copies for two seconds at most. They count from
// before it sent the latest question that the server has answered, by the clock or by the time that the machine was awake,
// whichever is more. While it answers from copies, it asks the server twice a second.
//
// If a URI cannot be forgotten because the server is out of reach, this process does not answer from memory for it until it
// can. It tells the other processes at most ten seconds after the server is back, but not if it ends before.
package redis
