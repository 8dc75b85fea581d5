// Package redis is a store of `remember` that many nodes share: the guest module
// http.conditional_cache.stores.redis.
//
// A record that was used before is answered from the memory of this process. The server is told which keys are
// kept there, and pushes a message when one of them changes (client-side caching, CLIENT TRACKING of Redis 6
// and later), so that what one node forgets or purges, all nodes forget within the time a message takes.
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
// A URI belongs to one of 65,536 buckets by its Sum and the seed, which is made once, by chance, and not known outside: so
// nobody can work out what to write to for another page to be forgotten. To forget a URI is to write a new generation of
// its bucket; a record counts only as long as the generation it was stamped with is still there. A generation is random,
// and so never comes back: when it is evicted or flushed, or the server starts empty, the next one is different from
// all before, and every record of the bucket is out of date. The same holds for the log of purges, whose numbers
// are the server's clock made strictly increasing. So the loss of any key, or of all, costs hits and never brings
// back what was forgotten.
//
// # What it does not promise
//
// Replication of Redis is asynchronous: a write that was confirmed by a primary and lost in a failover is a
// forgetting lost. A node that is cut off from the server without noticing answers from its memory for two seconds at
// most, counted from before the latest question was sent that the server has answered, by the clock and by the time that
// the machine was awake, whichever is more; as long as it does answer from there, it asks twice a second. A URI that could
// not be forgotten because the server was out of reach is not answered from memory by this process until it could be;
// the other processes are told once the server is back, at the latest ten seconds after that, but not if this process ends
// before.
package redis
