package rig

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// StartUpstream starts this program once more, as the upstream.
func StartUpstream(ctx context.Context) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	said, upstreamSays, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = said.Close() }()
	p, err := Start(ctx, func(cmd *exec.Cmd) error {
		cmd.Stdout = upstreamSays
		_, err := cmd.StdinPipe() // which ends with this process, however that ends
		return err
	}, self, "-upstream")
	_ = upstreamSays.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		return nil, p.Failed(fmt.Errorf("the upstream names no address: %w", err))
	}
	p.Address = strings.TrimSpace(line)
	return p, nil
}
