package capture

import "time"

// clock has the two timers of a response, of which one runs at a time. They are made once and kept with the response,
// which may be used again: it is, only if they were stopped in time.
type clock struct {
	running  *time.Timer   // the one that runs; nil: none does
	deadline *time.Timer   // runs Response.deadline; made by the first response that is held
	quiet    *time.Timer   // runs Response.quiet; made by the first one that is answered
	loose    bool          // a timer's function has run, or may yet; set by stop
	stalled  chan struct{} // closed when Options.Stalled has returned; made by mustStall, nil: it was not called
	panicked any           // what a timer's goroutine recovered: deadline or quiet
}

// start starts one of the timers, kept at; f is a method of this response.
func (w *Response) start(kept **time.Timer, d time.Duration, f func(*Response)) {
	if *kept == nil {
		*kept = time.AfterFunc(d, func() { f(w) })
	} else {
		(*kept).Reset(d)
	}
	w.clock.running = *kept
}

// stop stops the timer that runs.
func (c *clock) stop() {
	if c.running != nil && !c.running.Stop() {
		c.loose = true
	}
	c.running = nil
}

// still reports whether no function of a timer has run, nor will. Whoever stalls or panics in one has run.
func (c *clock) still() bool { return !c.loose }
