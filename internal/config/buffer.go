package config

import (
	"errors"
	"time"
)

// What holds where `buffer` says nothing.
const (
	DefaultMaxBody  = 4 << 20
	DefaultMaxDelay = 200 * time.Millisecond
)

const maxMaxBody = 1 << 40

// Buffer is `buffer`.
type Buffer struct {
	MaxBody  int64
	MaxDelay Delay
}

// Check refuses what is wrong in `buffer`.
func (b Buffer) Check() error {
	if b.MaxBody < 0 || b.MaxBody > maxMaxBody {
		return errors.New("max_body has to be a size above zero and at most 1TiB, such as 4MiB (in JSON 4194304)")
	}
	return nil
}
