package integration

import "testing"

func clientFaults() map[string]func(t *testing.T, s *faultSite) {
	return nil
}
