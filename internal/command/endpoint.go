package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

const (
	statusPath = "/conditional_cache/"
	topPath    = "/conditional_cache/top"
	purgePath  = "/conditional_cache/purge"

	// endpointTime is how long the endpoint may take. A purge waits for the server of a store, which has its own bounds.
	endpointTime = 15 * time.Second
	maxAnswer    = 4 << 20
)

// endpointHelp stands below the help of every command that asks the admin endpoint.
const endpointHelp = `
The admin endpoint of a running Caddy is asked: that of --address, else the one
in the configuration of --config, else the default. Unix sockets are addresses,
too, as unix//run/caddy.sock.
`

// endpointFlags gives a command the flags that Caddy's own have.
func endpointFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.String("address", "", "The address to use to reach the admin API endpoint, if not the default")
	configFlags(cmd)
}

func configFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringP("config", "c", "", "Configuration file to use to parse the admin address, if --address is not used")
	flags.StringP("adapter", "a", "", "Name of config adapter to apply (when --config is used)")
	cmd.SetFlagErrorFunc(usageError)
}

// endpointOf is the address that the flags say.
func endpointOf(cmd *cobra.Command) (string, error) {
	address, _ := cmd.Flags().GetString("address")
	return determine(cmd, address)
}

func determine(cmd *cobra.Command, address string) (string, error) {
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	return caddycmd.DetermineAdminAPIAddress(address, nil, config, adapter)
}

// refused is what an endpoint has answered instead of what was asked for.
type refused struct {
	status int
	body   string
	reason string
}

func (r *refused) Error() string { return r.reason }

// errLate is that of an endpoint that is there and says nothing.
var errLate = fmt.Errorf("no answer within %v", endpointTime)

// request asks an endpoint. Caddy's own client has no limit of time.
func request(address, method, path, body string) ([]byte, error) {
	type said struct {
		text []byte
		err  error
	}
	done := make(chan said, 1)
	go func() {
		text, err := send(address, method, path, body)
		done <- said{text, err}
	}()
	timer := time.NewTimer(endpointTime)
	defer timer.Stop()
	select {
	case s := <-done:
		return s.text, s.err
	case <-timer.C:
		return nil, errLate
	}
}

func send(address, method, path, body string) ([]byte, error) {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	response, err := caddycmd.AdminAPIRequest(address, method, path, http.Header{}, content)
	if err != nil {
		return nil, refusalIn(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(response.Body, maxAnswer))
}

// refusalIn finds the answer in the error that Caddy's client makes of it.
func refusalIn(err error) error {
	_, answer, ok := strings.Cut(err.Error(), "HTTP ")
	said := new(refused)
	if n, _ := fmt.Sscanf(answer, "%d:", &said.status); !ok || n != 1 {
		return err
	}
	_, said.body, _ = strings.Cut(answer, ": ")
	var words struct{ Error string }
	switch {
	case json.Unmarshal([]byte(said.body), &words) == nil && words.Error != "":
		said.reason = words.Error
	case said.status == http.StatusNotFound:
		said.reason = "this Caddy has no such path: it was built without conditional_cache, or with an older one"
	default:
		said.reason = strings.TrimSpace(fmt.Sprintf("%d %s", said.status, said.body))
	}
	return said
}

// failed ends a command with the exit status for what did not work, or with exitUsage where what was asked for was wrong.
func failed(cmd *cobra.Command, address string, err error) error {
	err = fmt.Errorf("%s: %w", address, err)
	if asUsage(err) {
		return usageError(cmd, err)
	}
	return ended(cmd, exitFailed, err)
}

// asUsage reports whether an error is of what was asked for.
func asUsage(err error) bool {
	if said, ok := errors.AsType[*refused](err); ok {
		return said.status == http.StatusBadRequest
	}
	return strings.Contains(err.Error(), "invalid admin address") || strings.Contains(err.Error(), "making request: ")
}

// plain is a text of a server for a terminal, which that does not get to steer.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
