// Package validators is what `remember` keeps of responses, and the contract of the stores it keeps it in: of
// each representation a Record of some 200 bytes (its validators, the fields of RFC 9110 §15.4.5 and times;
// never a body), so that "has it changed?" is answered without asking who made it.
//
// A store is a Caddy module in the namespace StoreNamespace whose value is a Store. Package storetest has the
// tests that every one has to pass. The stores of this project are in the packages memory and redis.
package validators

// StoreNamespace is the namespace of Caddy modules that are stores: a module with the ID
// http.conditional_cache.stores.memory is written `store memory` in a Caddyfile.
const StoreNamespace = "http.conditional_cache.stores"
