package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/report"
	"github.com/conditionalcache/caddy-conditional-cache/internal/coding"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [--address <interface>] [--config <path> [--adapter <name>]] [--json]",
		Short: "Shows what a running Caddy remembers, and how its stores fare",
		Long: `
Shows the stores in which a running Caddy remembers validators, what is in them
and how often it was found there, how much memory the buffered bodies take at
this moment, and what encode_once keeps.
` + endpointHelp + `
The exit status is 0, 1 if the endpoint does not answer, and 2 if the command
cannot be carried out as it was given.
`,
		Example: "  $ caddy conditional-cache status",
	}
	endpointFlags(cmd)
	cmd.Flags().Bool("json", false, "Print what the endpoint says, which is JSON")
	cmd.RunE = runStatus
	return cmd
}

func runStatus(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, fmt.Errorf("status has no arguments; %q is one", args[0]))
	}
	address, err := endpointOf(cmd)
	if err != nil {
		return usageError(cmd, err)
	}
	text, err := request(address, http.MethodGet, statusPath, "")
	if err != nil {
		return failed(cmd, address, err)
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	var now statusSaid
	if err := json.Unmarshal(text, &now); err != nil {
		return failed(cmd, address, err)
	}
	return now.write(cmd.OutOrStdout(), address)
}

// statusSaid is what the endpoint says to GET of the status.
type statusSaid struct {
	Held struct {
		Bytes    int64 `json:"bytes"`
		MaxTotal int64 `json:"max_total"`
	} `json:"held"`
	Coded  *coding.Stats `json:"encode_once"` // nil: no handler has it
	Stores []storeSaid   `json:"stores"`
}

type storeSaid struct {
	Name string `json:"name"`
	validators.Stats
}

func (s *statusSaid) write(w io.Writer, address string) error {
	_, err := fmt.Fprintf(w, "%s buffers %s of bodies, at most %s\n", address, report.Size(s.Held.Bytes), report.Size(s.Held.MaxTotal))
	if err == nil && s.Coded != nil {
		_, err = fmt.Fprintf(w, "encode_once keeps %s of compressed bodies, at most %s: %d hits, %d misses, %d evictions; %.1f s of compressing saved\n",
			report.Size(s.Coded.Bytes), report.Size(s.Coded.MaxBytes), s.Coded.Hits, s.Coded.Misses, s.Coded.Evictions, s.Coded.SavedSeconds)
	}
	if err != nil {
		return err
	}
	return writeStores(w, s.Stores)
}

// writeStores writes a table of stores.
func writeStores(w io.Writer, stores []storeSaid) error {
	if len(stores) == 0 {
		_, err := fmt.Fprintln(w, "no handler remembers anything, so there is no store")
		return err
	}
	rows := [][]string{{"STORE", "RECORDS", "FIRST SEEN", "FOUND", "NOT FOUND", "SHARE", "DROPPED", "ERRORS", ""}}
	for _, s := range stores {
		state := "asked"
		if !s.Available {
			state = "left alone, as it has failed"
		}
		rows = append(rows, []string{
			plain(s.Name), known(s.Entries), known(s.FirstSeen), number(s.Hits), number(s.Misses), share(s.Hits, s.Misses), number(s.Evictions), number(s.Errors), state,
		})
	}
	return writeTable(w, rows)
}

// known is a number that a store may not know.
func known(n int64) string {
	if n < 0 {
		return "?"
	}
	return strconv.FormatInt(n, 10)
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// share is how many of all were found, in per cent.
func share(hits, misses uint64) string {
	if hits+misses == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(hits)/float64(hits+misses))
}

// writeTable writes rows of which all columns but the first and the last are numbers. A column with nothing in it is left out.
func writeTable(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			room := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case widths[i] == 0:
			case i == 0:
				line.WriteString(cell + room)
			case i == len(row)-1:
				line.WriteString("  " + cell)
			default:
				line.WriteString("  " + room + cell)
			}
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}
