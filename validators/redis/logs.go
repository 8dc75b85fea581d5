package redis

import (
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// quiet is how long nothing is said after a warning, whatever fails.
const quiet = 10 * time.Second

// logs says what happens to a store, seldom, and without secrets.
type logs struct {
	password string

	mu       sync.Mutex
	loggers  []*attached
	warned   time.Time
	untold   int  // warnings that were not logged since
	isDown   bool // was logged, so that being back is worth a line
	saidOnce bool // that there is no tracking
}

type attached struct{ *zap.Logger }

func (l *logs) attach(logger *zap.Logger, name string) (detach func()) {
	own := &attached{logger.With(loggedStore(name))}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loggers = append(l.loggers, own)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.loggers = slices.DeleteFunc(l.loggers, func(other *attached) bool { return other == own })
	}
}

// newest is the logger of the module that came last, as it is of the configuration in use. The caller holds mu.
func (l *logs) newest() *zap.Logger {
	if len(l.loggers) == 0 {
		return zap.NewNop()
	}
	return l.loggers[len(l.loggers)-1].Logger
}

func (l *logs) warn(message string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.warned.IsZero() && now.Sub(l.warned) < quiet {
		l.untold++
		return
	}
	l.newest().Warn(message, zap.String("error", l.redact(err)), zap.Int("not_logged", l.untold))
	l.warned, l.untold, l.isDown = now, 0, true
}

// back says that the store can be used, if it was said that it cannot.
func (l *logs) back() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isDown {
		l.newest().Info("the store is back")
	} else {
		l.newest().Debug("connected")
	}
	l.isDown = false // warned stays: one that comes and goes is not worth more lines
}

// plain says once that there are no copies in memory.
func (l *logs) plain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.saidOnce {
		return
	}
	l.saidOnce = true
	l.newest().Warn("the server does not allow client-side caching (CLIENT TRACKING): each hit asks the server")
}

// redact is the error's text without the password, which some servers repeat in what they do not understand.
func (l *logs) redact(err error) string {
	text := err.Error()
	if l.password == "" {
		return text
	}
	return strings.ReplaceAll(text, l.password, "***")
}
