package redis

// push is what kind of push message it is, by its name.
type push uint8

const (
	unnamed push = iota
	unknown      // which the client leaves alone
	invalidate
	published
	confirmed
	withdrawn
	pong // no push message, but written like one where lists are taken for them
)

// admitPushed looks at the type of a member of a push message.
func (a *answers) admitPushed(l *aggregate, typ byte) error {
	switch {
	case l.seen == 0, a.push == published, a.push == pong:
		return only(typ, "$+", errPush)
	case a.push == invalidate:
		return only(typ, "_$*", errPush)
	case a.push == unknown && typ != '>':
		return nil
	case l.seen == 1:
		return only(typ, "$+_", errPush) // nothing, if there was nothing to withdraw from
	}
	return only(typ, ":", errPush)
}

// checkPushed looks at a member of a push message when it is complete. The client takes messages of sentinels apart
// without looking how many words they have.
func (a *answers) checkPushed(l *aggregate) error {
	isNull := a.null || a.typ == '_'
	words := a.note.spaces + 1
	switch {
	case l.seen == 0:
		return a.checkName(l)
	case a.push == invalidate && a.typ == '$' && !a.null, a.push == published && isNull:
		return errPush
	case a.push == published && l.seen == 1:
		a.newPrimary = a.note.is("+switch-master")
	case a.push == published && (words < 4 || a.newPrimary && words < 5):
		return errPush
	}
	return nil
}

// checkName admits the push messages that were asked for, and those that the client does not know. What it would take for
// the answer to something else is refused: confirmations where nothing was subscribed to, or of other kinds.
func (a *answers) checkName(l *aggregate) error {
	if a.null {
		return errPush
	}
	isList, isInside := l.typ == '*', a.depth > 1
	members, mayBe := 3, a.command.subscribed && !isInside
	switch string(a.note.begun()) {
	case "invalidate":
		a.push, members, mayBe = invalidate, 2, !isList
	case "message":
		a.push = published
	case "subscribe":
		a.push = confirmed
	case "unsubscribe":
		a.push = withdrawn
	case "psubscribe", "punsubscribe", "pmessage", "ssubscribe", "sunsubscribe", "smessage":
		return errPush
	default:
		a.push, members, mayBe = unknown, l.total, !isList && !isInside
		if isList && a.note.is("pong") {
			a.push, members, mayBe = pong, 2, true
		}
	}
	if !mayBe || l.total != members {
		return errPush
	}
	return nil
}

// endPush counts confirmations as the client does: the first one of a subscription is its answer, and as many as it has
// other channels belong to it, whether they confirm or withdraw.
func (a *answers) endPush() error {
	q := &a.questions
	switch {
	case a.push == pong && q.len() == 0:
		return errUnasked
	case a.push == pong:
		return a.endAnswer()
	case a.push != confirmed && a.push != withdrawn:
		return nil
	case a.skip > 0:
		a.skip--
	case a.push == withdrawn:
	case q.len() == 0 || q.first().question != subscription:
		return errPush
	default:
		a.skip = max(int(q.first().channels)-1, 0)
		q.drop(1)
	}
	return nil
}
