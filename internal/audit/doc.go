// Package audit asks a server for a page as a browser does, again and again under other conditions, and says what its
// caching and its conditional requests get wrong. It knows nothing of what the server is.
//
// It has three parts. A visitor (fetch.go, visit.go) sends what the plan (plan.go) asks for, GET and HEAD only, and
// keeps what came back as an Observation. The checks, one file a kind, are pure functions from that to findings
// (kinds.go). What is found goes into a Report, which package report prints.
//
// All work is bounded: the requests to a URL (MaxRequests), the octets of a body, the time of a request, and the work
// that comparing two bodies takes.
package audit
