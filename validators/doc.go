// Package validators has the contract of the stores that `remember` keeps validators in, and the types that they keep.
//
// A [Record] stands for one representation: its validators, the fields of RFC 9110 §15.4.5, and times. It takes about 280
// bytes and never has a body. With it, "has it changed?" is answered without asking the upstream.
//
// To write a store, implement [Store] in a Caddy module of the namespace [StoreNamespace], and run the tests of package
// storetest on it. The packages memory and redis are the stores of this project.
package validators

// StoreNamespace is the namespace of Caddy modules that are stores: a module with the ID
// http.conditional_cache.stores.memory is written `store memory` in a Caddyfile.
const StoreNamespace = "http.conditional_cache.stores"
