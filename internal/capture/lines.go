package capture

// Lines are field lines that are made on the way, with room for a few. They live as long as what they are part of,
// and each place is used once: header maps are kept, and what is in them is edited in place.
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
