package capture

// Lines are field lines that are made or copied on the way, with room for a few. They live as long as what they are
// part of, and each place is used once: header maps are kept, and what is in them is edited in place.
type Lines struct {
	room [6]string
	used uint8 // places; counted by One
}

// One is a list of one line. A nil Lines has no room.
func (l *Lines) One(line string) []string {
	if l == nil || int(l.used) == len(l.room) {
		return []string{line}
	}
	i := l.used
	l.used++
	l.room[i] = line
	return l.room[i : i+1 : i+1]
}

// copyOf is a list of the same lines; of none, nil stays nil.
func (l *Lines) copyOf(lines []string) []string {
	switch {
	case len(lines) == 1:
		return l.One(lines[0])
	case lines == nil: // not an empty list: nil keeps net/http from adding a field of its own
		return nil
	}
	return append(make([]string, 0, len(lines)), lines...)
}
