// Package coding keeps the content-coded form of bodies (RFC 9110 §8.4) by their content, so that a page which has not
// changed is compressed once, and not for every client.
//
// A Coder is what one handler is configured to do: which coding a response gets, and which responses get one, by the rules
// of Caddy's encode. Kept has the coded bodies, which handlers with equal encoders share and which outlive configurations.
// What comes for the first time is only noted, so that pages that never come again cost nothing and push nothing out.
package coding
