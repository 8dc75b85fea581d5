//go:build unix

package redis

import "syscall"

// pause halts the server: it takes connections and answers nothing.
func (s *server) pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
}

// resume lets a server go on that was paused.
func (s *server) resume() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
}

func (s *server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}
