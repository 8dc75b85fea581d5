package config

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
)

// Ranges is `ranges`.
type Ranges struct {
	Mode string
	Max  int
}

// RangesMode are the words of `ranges`.
var RangesMode = Choice{Of: "ranges", Words: []string{"on", "off", "stream"}, On: "on"}

// What holds for `max`. More than MostRanges, even of numbers of 19 digits, would not fit into what is read of a Range
// field. Clients that ask for the most send 255 (dnf) and 162 (electron-updater).
const (
	DefaultMaxRanges = 16
	MostRanges       = 1000
)

// Check refuses what is wrong in `ranges`.
func (r Ranges) Check() error {
	if err := RangesMode.Check(r.Mode); err != nil {
		return err
	}
	switch {
	case r.Max < 0 || r.Max > MostRanges:
		return fmt.Errorf("ranges max: %d is not a whole number from 1 to %d", r.Max, MostRanges)
	case r.Max != 0 && r.Mode == "off":
		return errors.New("ranges max says how many ranges are answered, and ranges off answers none; remove one of them")
	}
	return nil
}

var rangesWords = map[string]policy.RangesMode{"on": policy.RangesOn, "off": policy.RangesOff, "stream": policy.RangesStream}

func (r Ranges) compile() policy.Ranges {
	return policy.Ranges{Mode: rangesWords[r.Mode], Max: cmp.Or(r.Max, DefaultMaxRanges)}
}
