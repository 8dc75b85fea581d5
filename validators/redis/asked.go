package redis

import (
	"errors"
	"math"
)

// question is what a command asks for: which answers to it there can be. See (*answers).admitAnswer.
type question uint8

const (
	one          question = iota // one text, number, null or error; what nearly all commands ask for
	transaction                  // EXEC of the two commands that the client reads a copy with
	greeting                     // HELLO
	listing                      // CLUSTER, SENTINEL, ZRANGE: a list of anything
	atLeastTwo                   // ROLE and the address of a primary, of which the client takes the first one or two
	subscription                 // SUBSCRIBE, confirmed once for each channel
	ending                       // UNSUBSCRIBE, which the client always has followed by a PING
	lastPing                     // that PING, if UNSUBSCRIBE was refused
)

// asked is one command whose answer has not come yet.
type asked struct {
	question question
	channels uint16 // of a subscription
}

// questions are the commands under way on one connection, the first one first. How many there are is bounded by what
// the client queues.
type questions struct {
	list []asked
	done int // of the list
}

func (q *questions) len() int { return len(q.list) - q.done }

// first is the command that the next answer belongs to. There has to be one.
func (q *questions) first() *asked { return &q.list[q.done] }

func (q *questions) add(a asked) {
	if q.done > 1<<10 && q.done > len(q.list)/2 {
		q.list = q.list[:copy(q.list, q.list[q.done:])]
		q.done = 0
	}
	q.list = append(q.list, a)
}

func (q *questions) drop(n int) {
	if q.done += n; q.done == len(q.list) {
		q.list, q.done = q.list[:0], 0
	}
}

// digits is a number that is being read.
type digits struct {
	value    int64
	count    uint8
	negative bool
}

// add reads one more octet, and reports whether there is such a number. What is longer than the range of the protocol
// is none.
func (d *digits) add(c byte) bool {
	switch {
	case c == '-' && d.count == 0 && !d.negative:
		d.negative = true
	case c >= '0' && c <= '9' && d.count < 19:
		d.value, d.count = d.value*10+int64(c-'0'), d.count+1
	default:
		return false
	}
	return true
}

// length is the number as a length. What no length can be, with an int of 32 bits either, is -2.
func (d *digits) length() int {
	switch {
	case d.count == 0 || d.value < 0 || d.value > math.MaxInt32:
		return -2
	case d.negative:
		return int(-d.value)
	}
	return int(d.value)
}

// command reads what the client writes as far as it takes to know what is asked: arrays of texts, one for each command,
// cut into pieces anywhere.
type command struct {
	step  commandStep
	typ   byte // of the line
	line  digits
	left  int // octets of the word still to come, with the end of its line
	words int
	word  int // which of them it is

	// heads are the first two words, as far as there is room.
	heads [2]struct {
		text   [24]byte
		length int
	}

	// What was asked for on this connection so far.
	resp3, subscribed bool
}

type commandStep uint8

const (
	atCommand commandStep = iota
	inCommandLine
	atCommandLineEnd
	inWord
)

var errNoCommand = errors.New("the client writes what is no command")

// read adds the commands that are complete to the questions.
func (c *command) read(b []byte, to *questions) error {
	for len(b) > 0 {
		if c.step == inWord {
			b = c.readWord(b, to)
			continue
		}
		if !c.readLine(b[0]) {
			return errNoCommand
		}
		b = b[1:]
	}
	return nil
}

// readLine reads an octet of the line before a command, or before a word.
func (c *command) readLine(b byte) bool {
	switch c.step {
	case atCommand:
		c.step, c.typ, c.line = inCommandLine, b, digits{}
		return b == '*' || b == '$'
	case inCommandLine:
		if b == '\r' {
			c.step = atCommandLineEnd
			return true
		}
		return c.line.add(b)
	default:
		return b == '\n' && c.endLine()
	}
}

func (c *command) endLine() bool {
	n := c.line.length()
	c.step = atCommand
	switch {
	case n < 0 || (c.typ == '*') != (c.word == c.words):
		return false
	case c.typ == '*':
		c.word, c.words = 0, n
		c.heads[0].length, c.heads[1].length = 0, 0
		return n > 0
	}
	c.step, c.left = inWord, n+2
	return true
}

func (c *command) readWord(b []byte, to *questions) (rest []byte) {
	n := min(c.left, len(b))
	if c.word < len(c.heads) {
		h := &c.heads[c.word]
		h.length += copy(h.text[h.length:], b[:min(n, max(c.left-2, 0))])
	}
	if c.left -= n; c.left == 0 {
		c.step = atCommand
		if c.word++; c.word == c.words {
			to.add(c.asks())
		}
	}
	return b[n:]
}

// asks is called at the end of a command. Words that are written in another way than the client does ask for one answer,
// and are refused any other.
func (c *command) asks() asked {
	second := string(c.heads[1].text[:c.heads[1].length])
	switch string(c.heads[0].text[:c.heads[0].length]) {
	case "EXEC":
		return asked{question: transaction}
	case "HELLO":
		c.resp3 = c.resp3 || second == "3"
		return asked{question: greeting}
	case "SENTINEL":
		if second == "GET-MASTER-ADDR-BY-NAME" {
			return asked{question: atLeastTwo}
		}
		return asked{question: listing}
	case "CLUSTER", "ZRANGE":
		return asked{question: listing}
	case "ROLE":
		return asked{question: atLeastTwo}
	case "SUBSCRIBE":
		c.subscribed = true
		return asked{question: subscription, channels: uint16(min(c.words-1, 1<<16-1))} //nolint:gosec // bounded
	case "UNSUBSCRIBE":
		c.subscribed = true
		return asked{question: ending}
	}
	return asked{question: one}
}
