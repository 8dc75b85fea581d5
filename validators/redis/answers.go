package redis

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// What one message may take. A record has 4 KiB at most, and a name less. The longest text is the log of purges, 256 of
// maxPurge, which are 6 MB. The largest list is that of the slots of a cluster: 16,384 of them, each apart from its
// neighbours, on three nodes take about 6 MB and 400,000 members; those of 1,000 nodes with theirs in one piece, 0.4 MB.
// CLUSTER SHARDS nests five deep, and HELLO with modules four.
const (
	maxLine    = 64 << 10
	maxText    = 8 << 20
	maxMessage = 16 << 20
	maxMembers = 1 << 16 // of one list
	maxAll     = 1 << 20 // members of all lists of a message
	maxDepth   = 16
)

var (
	errUnasked  = errors.New("an answer that nobody asked for")
	errKind     = errors.New("an answer of a kind that the command does not have")
	errType     = errors.New("an unknown type")
	errNumber   = errors.New("a number that is none")
	errLength   = errors.New("a length out of bounds")
	errTooLong  = errors.New("a message that is too long")
	errDepth    = errors.New("lists nested too deeply")
	errLineEnd  = errors.New("a line without its end")
	errShape    = errors.New("a list of another shape than the command has")
	errPush     = errors.New("a push message that nobody asked for, or of another shape")
	errRedirect = errors.New("a redirection to nowhere")
)

// answers follows what a server sends, RESP2 or RESP3, cut into pieces anywhere, and refuses what the client could not
// cope with: it panics in goroutines of its own, which nobody can recover from, at answers that it has not asked for, at
// lengths below zero, at lists that are shorter than it expects, and it makes room for whatever length it reads. What is
// followed is exactly what the client makes of the octets, so that both always agree where a message ends.
//
// Streamed texts and lists ("$?", "*?", ";", ".") are refused: no server sends them.
type answers struct {
	questions questions
	command   command
	refused   error

	step step
	typ  byte   // of the value that is read, or was read last
	line digits // of values that begin with a number
	size int    // octets of the line
	left int    // octets of the text still to come
	null bool   // the value is "$-1" or "*-1"
	note note

	lists   [maxDepth]aggregate
	depth   int
	isPush  bool // the message is, as far as is known
	push    push
	octets  int // of the message, and
	members int // of all its lists

	skip       int     // confirmations still to come of a subscription that was answered with the first
	version    version // of the server, in a greeting
	version6   bool
	newPrimary bool // is what the push message is about
}

type step uint8

const (
	atType step = iota
	inNumber
	inLine
	atLineEnd
	inText
	atTextEnd
	atTextLineEnd
)

// aggregate is a list that is being read, of any of the types that have members. Of a map, keys and values count.
type aggregate struct {
	typ          byte
	role         role
	total, seen  int
	interspersed int // push messages between the members, as Redis 6 sends them
}

// role is what is known of the members of a list.
type role uint8

const (
	ofAnything role = iota
	ofTransaction
	ofGreeting
	ofPush
	ofNames // that a push message says are changed
)

// version is whether the server's was said.
type version uint8

const (
	versionUnsaid version = iota
	versionNext           // with the value that comes
	versionSaid
)

// note keeps the beginning of a text that is looked at.
type note struct {
	on     bool
	text   [256]byte
	length int // of the whole text
	spaces int
}

func (n *note) add(b []byte) {
	if !n.on {
		return
	}
	if n.length < len(n.text) {
		copy(n.text[n.length:], b)
	}
	n.length += len(b)
	n.spaces += bytes.Count(b, []byte{' '})
}

func (n *note) begun() []byte { return n.text[:min(n.length, len(n.text))] }

func (n *note) is(text string) bool { return n.length == len(text) && string(n.begun()) == text }

// read returns how many octets are good. The first one that is not is the first of all that are refused from then on. Where
// it is does not depend on how the octets are cut.
func (a *answers) read(b []byte) (good int, err error) {
	for good < len(b) && a.refused == nil {
		var n int
		n, a.refused = a.next(b[good:])
		good += n
	}
	return good, a.refused
}

// next reads at least one octet, or finds that it cannot be.
func (a *answers) next(b []byte) (int, error) {
	switch a.step {
	case inLine:
		return a.readLine(b)
	case inText:
		n := min(a.left, len(b))
		a.note.add(b[:n])
		if a.left -= n; a.left == 0 {
			a.step = atTextEnd
		}
		return n, nil
	case atType, inNumber, atLineEnd, atTextEnd, atTextLineEnd:
	}
	if err := a.readOctet(b[0]); err != nil {
		return 0, err
	}
	return 1, nil
}

func (a *answers) readLine(b []byte) (int, error) {
	room := maxLine - a.size
	end := bytes.IndexAny(b[:min(len(b), room+1)], "\r\n")
	text := b[:min(len(b), room)]
	if end >= 0 {
		text = b[:end]
	}
	a.note.add(text)
	a.size += len(text)
	switch {
	case end < 0 && len(b) > room:
		return room, errLength
	case end < 0:
		return len(text), nil
	case b[end] == '\n':
		return end, errLineEnd
	}
	a.step = atLineEnd
	return end + 1, nil
}

func (a *answers) readOctet(c byte) error {
	switch a.step {
	case atType:
		return a.begin(c)
	case inNumber:
		if c == '\r' {
			a.step = atLineEnd
		} else if !a.line.add(c) {
			return errNumber
		}
		return nil
	case atTextEnd:
		a.step = atTextLineEnd
		if c != '\r' {
			return errLineEnd
		}
		return nil
	case atLineEnd, atTextLineEnd, inLine, inText:
	}
	switch {
	case c != '\n':
		return errLineEnd
	case a.step == atTextLineEnd:
		return a.endText()
	}
	return a.endLine()
}

func (a *answers) begin(typ byte) error {
	if err := a.admit(typ); err != nil {
		return err
	}
	switch typ {
	case '+', '-', ',', '(', '#', '_':
		a.step = inLine
	case ':', '$', '!', '=', '*', '%', '~', '|', '>':
		a.step = inNumber
	default:
		return errType
	}
	a.typ, a.line, a.size, a.null = typ, digits{}, 0, false
	a.note.on, a.note.length, a.note.spaces = a.notes(typ), 0, 0
	return nil
}

// notes reports whether the text of a value has to be looked at.
func (a *answers) notes(typ byte) bool {
	switch {
	case typ == '-' || typ == '!' || typ == '#':
		return true
	case a.depth == 0:
		return typ == '+'
	}
	role := a.lists[a.depth-1].role
	return role == ofPush || role == ofGreeting
}

// endLine ends a line of text, or one with a number.
func (a *answers) endLine() error {
	a.octets += a.size + 3
	switch a.typ {
	case '+', ',', '(':
		return a.endValue()
	case '-':
		return a.endError()
	case '_':
		if a.size != 0 {
			return errShape
		}
		return a.endValue()
	case '#':
		if !a.note.is("t") && !a.note.is("f") {
			return errShape
		}
		return a.endValue()
	case ':':
		if a.line.count == 0 {
			return errNumber
		}
		return a.endValue()
	case '$', '!', '=':
		return a.beginText(a.line.length())
	}
	return a.beginList(a.line.length())
}

func (a *answers) beginText(length int) error {
	if length == -1 && a.typ == '$' {
		a.null = true
		return a.endValue()
	}
	if length < 0 || length > maxText {
		return errLength
	}
	if a.octets += length + 2; a.octets > maxMessage {
		return errTooLong
	}
	a.step, a.left = inText, length
	if length == 0 {
		a.step = atTextEnd
	}
	return nil
}

func (a *answers) endText() error {
	if a.typ == '!' {
		return a.endError()
	}
	return a.endValue()
}

// endError looks at what errors direct to another server: the client takes the third word, or the second, without
// looking how many there are. It leaves "ERR " away before.
func (a *answers) endError() error {
	text, trimmed := strings.CutPrefix(string(a.note.begun()[:min(a.note.length, 16)]), "ERR ")
	words := a.note.spaces + 1
	if trimmed {
		words--
	}
	switch {
	case (strings.HasPrefix(text, "MOVED") || strings.HasPrefix(text, "ASK")) && words < 3,
		strings.HasPrefix(text, "REDIRECT") && words < 2:
		return errRedirect
	}
	return a.endValue()
}

func (a *answers) beginList(length int) error {
	if length == -1 && a.typ == '*' && (a.depth > 0 || !a.isPush) {
		a.null = true
		return a.endValue()
	}
	if length < 0 || length > maxMembers {
		return errLength
	}
	if a.typ == '%' || a.typ == '|' {
		length *= 2
	}
	if a.members += length; a.members > maxAll {
		return errTooLong
	}
	if a.depth == maxDepth {
		return errDepth
	}
	l := aggregate{typ: a.typ, total: length, role: a.roleOf()}
	if err := a.checkTotal(&l); err != nil {
		return err
	}
	a.lists[a.depth] = l
	a.depth++
	a.step = atType
	if length == 0 {
		return a.endList()
	}
	return nil
}

// roleOf is the role of the list that begins.
func (a *answers) roleOf() role {
	switch {
	case a.typ == '|':
		return ofAnything
	case a.typ == '>', a.depth == 0 && a.isPush:
		return ofPush
	case a.depth == 0 && a.questions.first().question == transaction:
		return ofTransaction
	case a.depth == 0 && a.questions.first().question == greeting:
		return ofGreeting
	case a.depth > 0 && a.lists[a.depth-1].role == ofPush && a.push == invalidate:
		return ofNames
	}
	return ofAnything
}

// checkTotal finds lists that are shorter or longer than the client takes for granted.
func (a *answers) checkTotal(l *aggregate) error {
	switch {
	case l.typ == '|':
		return nil
	case l.role == ofTransaction && l.total != 2, l.role == ofPush && l.total == 0:
		return errShape
	case a.depth == 0 && l.role == ofAnything && a.questions.first().question == atLeastTwo && l.total < 2:
		return errShape
	}
	return nil
}

// endValue ends a value, and with it each list that it is the last member of.
func (a *answers) endValue() error {
	if a.octets > maxMessage {
		return errTooLong
	}
	a.step = atType
	if a.depth == 0 {
		return a.endMessage()
	}
	l := &a.lists[a.depth-1]
	if err := a.checkMember(l); err != nil {
		return err
	}
	if l.seen++; l.seen < l.total {
		return nil
	}
	return a.endList()
}

func (a *answers) endList() error {
	a.depth--
	l := &a.lists[a.depth]
	switch {
	case l.typ == '|': // attributes come before a value, and are none
		return nil
	case l.typ == '>' && a.depth > 0:
		a.lists[a.depth-1].interspersed++
		a.isPush = false
		return nil
	}
	a.typ, a.null = l.typ, false
	return a.endValue()
}

// admit looks at the type of a value, which is known before anything else of it.
func (a *answers) admit(typ byte) error {
	if typ == '|' {
		return nil
	}
	if a.depth == 0 {
		return a.admitMessage(typ)
	}
	switch l := &a.lists[a.depth-1]; l.role {
	case ofTransaction:
		return a.admitResult(l, typ)
	case ofPush:
		return a.admitPushed(l, typ)
	case ofNames:
		return only(typ, "$+", errPush)
	case ofGreeting, ofAnything:
	}
	if typ == '>' {
		return errPush
	}
	return nil
}

func only(typ byte, types string, err error) error {
	if strings.IndexByte(types, typ) < 0 {
		return err
	}
	return nil
}

func (a *answers) admitMessage(typ byte) error {
	a.isPush = typ == '>' || typ == '*' && a.isRESP2PubSub()
	a.push = unnamed
	switch {
	case a.isPush:
		return nil
	case a.questions.len() == 0:
		return errUnasked
	}
	return a.admitAnswer(a.questions.first().question, typ)
}

// isRESP2PubSub is for connections on which the client takes lists for push messages: those that it subscribes on
// without having asked for RESP3.
func (a *answers) isRESP2PubSub() bool { return a.command.subscribed && !a.command.resp3 }

// admitAnswer refuses other kinds of answers than a command has. That also finds, after few answers, that they are not
// those of the commands any more: the client reads copies in transactions, and nothing else answers with their lists.
func (a *answers) admitAnswer(q question, typ byte) error {
	switch q {
	case transaction, listing, atLeastTwo:
		return only(typ, "*_-!", errKind)
	case greeting:
		a.version, a.version6 = versionUnsaid, false
		return only(typ, "%*-!", errKind)
	case subscription:
		return only(typ, "-", errKind)
	case ending, lastPing:
		return only(typ, "+-", errKind)
	case one:
	}
	return only(typ, "+-:$_,(#!=", errKind)
}

// admitResult admits what the commands of a transaction answer, and, between them, what Redis 6 has to say of a key
// that ends while it is read (https://github.com/redis/redis/issues/8935). The client counts that as a member, takes it
// out afterwards, and reads as many values more: it may not come among these.
func (a *answers) admitResult(l *aggregate, typ byte) error {
	if typ == '>' && a.version6 && l.seen+l.interspersed < l.total {
		a.isPush, a.push = true, unnamed
		return nil
	}
	return only(typ, "+-:$_,(#!=", errShape)
}

// checkMember looks at a member of a list when it is complete.
func (a *answers) checkMember(l *aggregate) error {
	switch l.role {
	case ofPush:
		return a.checkPushed(l)
	case ofGreeting:
		return a.checkGreeting(l)
	case ofNames:
		if a.null {
			return errPush
		}
	case ofAnything, ofTransaction:
	}
	return nil
}

// checkGreeting finds whether the client will read transactions as Redis 6 sends them, as the client does.
func (a *answers) checkGreeting(l *aggregate) error {
	isText := (a.typ == '$' || a.typ == '+') && !a.null && a.note.length <= len(a.note.text)
	switch isKey := l.seen%2 == 0; {
	case isKey && isText && a.note.is("version"):
		if a.version != versionUnsaid {
			return errShape
		}
		a.version = versionNext
	case !isKey && a.version == versionNext:
		if !isText {
			return errShape
		}
		major, _, _ := bytes.Cut(a.note.begun(), []byte{'.'})
		number, _ := strconv.ParseInt(string(major), 10, 32)
		a.version, a.version6 = versionSaid, number == 6
	}
	return nil
}

// endMessage ends what is not a part of anything else.
func (a *answers) endMessage() error {
	a.octets, a.members = 0, 0
	if a.isPush {
		return a.endPush()
	}
	return a.endAnswer()
}

func (a *answers) endAnswer() error {
	q := &a.questions
	switch q.first().question {
	case ending:
		return a.endEnding()
	case lastPing:
		if !a.isPong() {
			return errKind
		}
	case subscription:
		if a.push == pong || a.note.is("QUEUED") {
			return errKind
		}
	case one, transaction, greeting, listing, atLeastTwo:
	}
	q.drop(1)
	return nil
}

// endEnding drops UNSUBSCRIBE, to which the client expects nothing but push messages, with the PING behind it, if that was
// answered, and else, if it was refused, alone.
func (a *answers) endEnding() error {
	q := &a.questions
	switch {
	case q.len() < 2:
		return errUnasked
	case a.isPong():
		q.drop(2)
	case a.typ != '-' || a.note.is("QUEUED") || a.note.length > len(a.note.text):
		return errKind
	default:
		q.drop(1)
		q.first().question = lastPing
	}
	return nil
}

// isPong is what the client takes for an answer to a PING.
func (a *answers) isPong() bool {
	text := string(a.note.begun())
	if a.typ == '-' {
		return strings.HasPrefix(text, "LOADING") || strings.HasPrefix(text, "BUSY") || strings.Contains(text, "'ping'")
	}
	return a.push == pong || text == "PONG"
}
