// Package truth knows what an upstream had to show at every moment, and says of an answer what is wrong with it. It knows
// nothing of Caddy or connections: what was asked and what came are arguments, and so are their times.
//
// A Place is what one URL stands for. It has a Page for each user, or one for all; a Page has versions, each of which was
// current for a while. So a request that lasted from one moment to another may be answered by any version that was current
// between the two, and by no other. A 304 from memory may stand for an older one, within bounds: it was not overwritten by
// a write that was acknowledged before the request began, and it was not overwritten for longer than the memory promises.
package truth
