package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func purgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "purge (<url> | --prefix <url> | --all) [--store <name>] [--address <interface>]... " +
			"[--config <path> [--adapter <name>]]",
		Short: "Has a running Caddy forget what it remembers",
		Long: `
Has a running Caddy forget the validators of one URL, with all its variants; of a
path and all below it, whatever the query (--prefix); or all of them (--all). The
next requests ask the upstream again. What browsers and other caches have stored
is theirs.
` + endpointHelp + `
With several --address, all are asked, one after the other.

The exit status is 0 if all was purged, 1 if it was not everywhere: purge the same
again; and 2 if the command cannot be carried out as it was given.
`,
		Example: "  $ caddy conditional-cache purge https://example.com/page?x=1\n" +
			"  $ caddy conditional-cache purge --prefix https://example.com/blog",
	}
	flags := cmd.Flags()
	flags.String("prefix", "", "URL of which the path and all below it is purged")
	flags.Bool("all", false, "Purge everything, the dates of first_seen included")
	flags.String("store", "", "Purge one store only, by its name in the status")
	flags.StringArray("address", nil, "The address to use to reach the admin API endpoint, if not the default")
	configFlags(cmd)
	cmd.RunE = runPurge
	return cmd
}

// order is what the endpoint is sent.
type order struct {
	URL    string `json:"url,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	All    bool   `json:"all,omitempty"`
	Store  string `json:"store,omitempty"`
}

// what is purged, in words.
func (o *order) what() string {
	if o.Prefix != "" {
		return "all below " + o.Prefix
	}
	return cmp.Or(o.URL, "everything")
}

// readOrder reads the flags.
func readOrder(cmd *cobra.Command, args []string) (o order, err error) {
	flags := cmd.Flags()
	o.Prefix, _ = flags.GetString("prefix")
	o.All, _ = flags.GetBool("all")
	o.Store, _ = flags.GetString("store")
	given := len(args)
	for _, name := range [...]string{"prefix", "all"} {
		if flags.Changed(name) {
			given++
		}
	}
	switch {
	case given == 0:
		return o, errors.New("nothing is named to purge; give a URL, --prefix with a URL, or --all")
	case given > 1:
		return o, errors.New("a URL, --prefix and --all are three purges; give one of them")
	case len(args) == 1 && args[0] == "", flags.Changed("prefix") && o.Prefix == "":
		return o, errors.New("an empty URL names nothing; write it with its scheme and host")
	case flags.Changed("all") && !o.All:
		return o, errors.New("--all=false names nothing to purge; give a URL, or --prefix with a URL")
	case flags.Changed("store") && o.Store == "":
		return o, errors.New("a store without a name is none; leave --store out to purge all stores")
	case len(args) == 1:
		o.URL = args[0]
	}
	return o, nil
}

func runPurge(cmd *cobra.Command, args []string) error {
	o, err := readOrder(cmd, args)
	if err != nil {
		return usageError(cmd, err)
	}
	addresses, _ := cmd.Flags().GetStringArray("address")
	if len(addresses) == 0 {
		address, err := determine(cmd, "")
		if err != nil {
			return usageError(cmd, err)
		}
		addresses = []string{address}
	}
	var failures []error
	for _, address := range addresses {
		if err := o.send(cmd, address); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", address, err))
		}
	}
	switch err := errors.Join(failures...); {
	case err == nil:
		return nil
	case len(failures) == len(addresses) && !slices.ContainsFunc(failures, func(err error) bool { return !asUsage(err) }):
		return usageError(cmd, err)
	default:
		return ended(cmd, exitFailed, err)
	}
}

// send has one endpoint purge, and says what it has purged.
func (o *order) send(cmd *cobra.Command, address string) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	text, err := request(address, http.MethodPost, purgePath, string(body))
	said, isRefused := errors.AsType[*refused](err)
	if isRefused && said.status == http.StatusServiceUnavailable {
		text = []byte(said.body)
	} else if err != nil {
		return err
	}
	var done struct {
		Purged []string          `json:"purged"`
		Failed map[string]string `json:"failed"`
	}
	if err := json.Unmarshal(text, &done); err != nil {
		return err
	}
	switch out := cmd.OutOrStdout(); {
	case len(done.Purged) > 0:
		_, _ = fmt.Fprintf(out, "%s: purged %s from %s\n", address, plain(o.what()), plain(strings.Join(done.Purged, ", ")))
	case len(done.Failed) == 0:
		_, _ = fmt.Fprintf(out, "%s: no handler remembers anything, so nothing was to be purged\n", address)
	}
	if len(done.Failed) == 0 {
		return nil
	}
	var causes []string
	for _, store := range slices.Sorted(maps.Keys(done.Failed)) {
		causes = append(causes, store+": "+done.Failed[store])
	}
	return fmt.Errorf("not purged, or not on every node: %s; purge the same again", strings.Join(causes, "; "))
}
