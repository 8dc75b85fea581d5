package httpcond

import "time"

// RangeCondition is an If-Range field (RFC 9110 §13.1.5):
//
//	If-Range = entity-tag / HTTP-date
//
// The zero value is an absent field. Present with neither a tag nor a date is
// one that nothing makes true: unlike a broken If-Modified-Since it is not
// ignored, as a part of other bytes than the client holds would corrupt them.
type RangeCondition struct {
	// Present tells that the request had the field, even empty.
	Present bool
	// HasTag tells that Tag is the field's value; Opaque shares memory with the
	// header.
	HasTag bool
	Tag    EntityTag
	// HasDate tells that Date is the field's value, in UTC and in whole seconds.
	HasDate bool
	Date    time.Time
	// Loose tells that it is no HTTP-date: only leniency has understood it.
	Loose bool
}

// ParseIfRange reads the lines of an If-Range field. It is a singleton, so
// several lines are neither a tag nor a date, even when all agree. lenient
// accepts dates as ParseLenientDate does; what is a tag is never a date.
func ParseIfRange(lines []string, now time.Time, lenient bool) RangeCondition {
	c := RangeCondition{Present: len(lines) > 0}
	if len(lines) != 1 {
		return c
	}
	if tag, ok := ParseEntityTag(lines[0]); ok {
		c.Tag, c.HasTag = tag, true
		return c
	}
	d := ParseDateCondition(lines, now, lenient)
	c.Date, c.HasDate, c.Loose = d.Time, d.Valid, d.Loose
	return c
}

// NeverHolds reports whether the field is there and no representation can make
// it true: its tag is weak, or it is neither one tag nor one date.
func (c *RangeCondition) NeverHolds() bool {
	return c.Present && !c.HasDate && (!c.HasTag || c.Tag.Weak)
}

// Holds reports whether the client's validator is the current one, in the strong
// sense: what it has and what it asks for have to be of the same bytes. A tag is
// compared strongly; a date has to equal Last-Modified, earlier or later is
// false, and Last-Modified has to be strong beside date, the response's Date
// (RFC 9110 §13.1.5, §8.8.2.2). An absent field holds.
func (c *RangeCondition) Holds(rep Representation, date time.Time) bool {
	switch {
	case !c.Present:
		return true
	case c.HasTag:
		return rep.HasETag && StrongMatch(c.Tag, rep.ETag, rep.Same)
	}
	return c.HasDate && c.Date.Equal(rep.LastModified) && StrongDate(rep.LastModified, date)
}
