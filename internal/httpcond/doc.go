// Package httpcond decides what conditional requests mean: entity tags and
// dates (RFC 9110 §8.8, §5.6.7), preconditions (§13), ranges (§14), the fields
// of a 304 (§15.4.5) and the parts of Cache-Control (RFC 9111 §5.2) that such
// decisions need.
//
// It is pure: no I/O, no clock (now is an argument), no state. Every function
// may be called concurrently. A malformed request field is never an error: the
// field is absent, usable, or present but unusable, and each rule says which
// of the three it looks at.
package httpcond
