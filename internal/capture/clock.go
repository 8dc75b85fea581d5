package capture

import "time"

// clock is the one timer of a response. Its two functions are made once and kept with the response, which may be used
// again; the timers are not: one that is used again would carry over what it was made in.
type clock struct {
	timer      *time.Timer // the one that runs; nil: none does
	onDeadline func()
	onQuiet    func()
	loose      bool          // a timer's function has run, or may yet; set by stop
	stalled    chan struct{} // closed when Options.Stalled has returned; made by mustStall, nil: it was not called
	panicked   any           // what a timer's goroutine recovered: deadline or quiet
}

// start starts the timer.
func (c *clock) start(d time.Duration, run func()) { c.timer = time.AfterFunc(d, run) }

// stop stops the timer that runs.
func (c *clock) stop() {
	if c.timer != nil && !c.timer.Stop() {
		c.loose = true
	}
	c.timer = nil
}

// still reports whether no function of a timer has run, nor will. Whoever stalls or panics in one has run.
func (c *clock) still() bool { return !c.loose }
