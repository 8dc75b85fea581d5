package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/conditionalcache/caddy-conditional-cache/internal/top"
)

const (
	defaultInterval, minInterval = 2 * time.Second, 100 * time.Millisecond

	defaultRows, maxRows = 10, 100
)

func topCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "top [--interval <duration>] [--limit <n>] [--once] [--address <interface>] " +
			"[--config <path> [--adapter <name>]] [--json]",
		Short: "Shows why a running Caddy answers without a 304, live",
		Long: `
Shows, again and again, why the answers of a running Caddy were no 304, why they
were not from memory and not remembered, at which URLs the tag is another one each
time, and how the stores fare: what was counted since the process has begun, and
how much of it in each second since the last look. q or Ctrl-C ends it.

In a pipe, with --once or with --json it is printed once, without rates.
` + endpointHelp + `
The exit status is 0, 1 if the endpoint does not answer, and 2 if the command
cannot be carried out as it was given.
`,
		Example: "  $ caddy conditional-cache top",
	}
	endpointFlags(cmd)
	flags := cmd.Flags()
	flags.Duration("interval", defaultInterval, "How long after a look the next one is taken")
	flags.Int("limit", defaultRows, "How many reasons and URLs are shown of each kind, 1 to 100")
	flags.Bool("once", false, "Print it once, and end")
	flags.Bool("json", false, "Print what the endpoint says, which is JSON, and end")
	cmd.RunE = runTop
	return cmd
}

func runTop(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	interval, _ := flags.GetDuration("interval")
	limit, _ := flags.GetInt("limit")
	switch {
	case len(args) > 0:
		return usageError(cmd, fmt.Errorf("top has no arguments; %q is one", args[0]))
	case limit < 1 || limit > maxRows:
		return usageError(cmd, fmt.Errorf("limit is %d; it may be 1 to %d", limit, maxRows))
	case interval < minInterval:
		return usageError(cmd, fmt.Errorf("interval is %v; it has to be %v or more", interval, minInterval))
	}
	address, err := endpointOf(cmd)
	if err != nil {
		return usageError(cmd, err)
	}
	look := func() ([]byte, error) {
		return request(address, http.MethodGet, fmt.Sprintf("%s?limit=%d", topPath, limit), "")
	}
	text, err := look()
	if err != nil {
		return failed(cmd, address, err)
	}
	if asJSON, _ := flags.GetBool("json"); asJSON {
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	now, err := readTop(text)
	if err != nil {
		return failed(cmd, address, err)
	}
	out := cmd.OutOrStdout()
	if once, _ := flags.GetBool("once"); once || !terminal(out) || os.Getenv("TERM") == "dumb" {
		return now.write(out, &view{address: address})
	}
	s := &screen{address: address, interval: interval, look: look, out: out.(*os.File), in: os.Stdin}
	return s.run(contextOf(cmd), now)
}

// topSaid is what the endpoint says to GET of top.
type topSaid struct {
	Since         time.Time    `json:"since"`
	Conditional   uint64       `json:"conditional"`
	NotModified   uint64       `json:"not_modified"`
	FromMemory    uint64       `json:"from_memory"`
	Reasons       []reasonSaid `json:"reasons"`
	Memory        []reasonSaid `json:"memory"`
	NotRemembered []reasonSaid `json:"not_remembered"`
	CacheControl  []lineSaid   `json:"cache_control"`
	URLs          []top.URL    `json:"urls"`
	Stores        []storeSaid  `json:"stores"`

	taken time.Time
}

type reasonSaid struct {
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason"`
	Count    uint64 `json:"count"`
	Sentence string `json:"sentence"`
}

// lineSaid is what became of a line of cache_control.
type lineSaid struct {
	Line int `json:"line"` // 0: none was found
	reasonSaid
}

// errNotTop is that of an answer of something else.
var errNotTop = errors.New("the answer is not what an admin endpoint with conditional_cache says")

func readTop(text []byte) (*topSaid, error) {
	now := &topSaid{taken: time.Now()}
	if err := json.Unmarshal(text, now); err != nil || now.Since.IsZero() {
		return nil, errNotTop
	}
	return now, nil
}

// countOf is how often something was the reason in a list; a list has only the most frequent ones.
func countOf(list []reasonSaid, like *reasonSaid) (uint64, bool) {
	for i := range list {
		if list[i].Outcome == like.Outcome && list[i].Reason == like.Reason {
			return list[i].Count, true
		}
	}
	return 0, false
}
