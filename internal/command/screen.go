package command

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// What a terminal is told (ECMA-48; the alternate screen is xterm's).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // another screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearRest   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// screen shows an overview again and again, on a screen of its own, and leaves the terminal as it was.
type screen struct {
	address  string
	interval time.Duration
	look     func() ([]byte, error)
	out, in  *os.File
}

// run shows looks until q or Ctrl-C is pressed, or a signal comes.
func (s *screen) run(ctx context.Context, first *topSaid) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if state, err := term.MakeRaw(int(s.in.Fd())); err == nil {
		defer func() { _ = term.Restore(int(s.in.Fd()), state) }()
		var done context.CancelFunc
		ctx, done = context.WithCancel(ctx)
		go func() {
			defer done()
			awaitEnd(s.in)
		}()
	}
	_, _ = io.WriteString(s.out, enterScreen)
	defer func() { _, _ = io.WriteString(s.out, leaveScreen) }()
	return s.repeat(ctx, first)
}

// awaitEnd returns when a key is pressed that ends it. In raw mode Ctrl-C is a key like any other.
func awaitEnd(keys io.Reader) {
	const ctrlC, ctrlD = 3, 4
	key := make([]byte, 1)
	for {
		n, err := keys.Read(key)
		if err != nil {
			return
		}
		if n == 1 && (key[0] == 'q' || key[0] == 'Q' || key[0] == ctrlC || key[0] == ctrlD) {
			return
		}
	}
}

func (s *screen) repeat(ctx context.Context, now *topSaid) error {
	var before *topSaid
	trouble := ""
	ticks := time.NewTicker(s.interval)
	defer ticks.Stop()
	for {
		var text strings.Builder
		if err := now.write(&text, &view{address: s.address, before: before, colour: os.Getenv("NO_COLOR") == ""}); err != nil {
			return err
		}
		wide, high, err := term.GetSize(int(s.out.Fd()))
		if err != nil || wide <= 0 || high <= 0 {
			wide, high = 80, 24
		}
		if _, err := io.WriteString(s.out, frame(text.String(), trouble, wide, high)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		next, err := s.next()
		if trouble = ""; err != nil {
			trouble = "the last look failed: " + plain(err.Error()) // Caddy may come back
			continue
		}
		before, now = now, next
	}
}

func (s *screen) next() (*topSaid, error) {
	text, err := s.look()
	if err != nil {
		return nil, err
	}
	return readTop(text)
}

// frame fits a text into a terminal. What does not fit is cut off, and the last line says how to end.
func frame(text, trouble string, wide, high int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if room := max(0, high-1); len(lines) > room {
		lines = lines[:room]
	}
	last := "q ends"
	if trouble != "" {
		last = trouble + "; " + last
	}
	var b strings.Builder
	b.WriteString(toTop)
	for _, line := range lines {
		b.WriteString(cut(line, wide) + clearRest + "\r\n")
	}
	b.WriteString(cut(last, wide) + clearRest + clearBelow)
	return b.String()
}

// cut leaves as much of a line as fits. A colour is ended behind it.
func cut(line string, wide int) string {
	var b strings.Builder
	column, coloured := 0, false
	for i := 0; i < len(line); {
		if end := strings.IndexByte(line[i:], 'm'); line[i] == '\x1b' && end >= 0 {
			b.WriteString(line[i : i+end+1])
			coloured = line[i:i+end+1] != "\x1b[0m"
			i += end + 1
			continue
		}
		if column == wide {
			break
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		b.WriteString(line[i : i+size])
		column++
		i += size
	}
	if coloured {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}
