package config

import "github.com/caddyserver/caddy/v2"

// Delay is a duration, or off, which is below zero.
type Delay caddy.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Delay) UnmarshalJSON(raw []byte) error {
	if string(raw) == `"off"` {
		*d = -1
		return nil
	}
	return (*caddy.Duration)(d).UnmarshalJSON(raw)
}

// Kind implements jsonread.Kinder.
func (*Delay) Kind() string { return `a duration, or "off"` }
