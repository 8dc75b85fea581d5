//go:build !unix

package redis

func (s *server) pause() {
	s.t.Helper()
	s.t.Skip("a process cannot be paused here")
}

func (*server) resume() {}
