package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/explain"
)

// errSentInFull makes the exit status 1. The story has said why.
var errSentInFull = errors.New("the reload was sent in full")

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain <url> [--header <field>]... [--connect <host:port>] [--timeout <duration>] [--json] " +
			"[--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Tells why a reload of a page is a 304, or is not",
		Long: `
Asks a server, any server, for a page, and a second later asks for it again with
the validator that came, as a reload does. Tells it as a story: what was asked,
what came, what was decided by which rule, and what would change it. Only GET is
sent, twice, and once more for each redirect.

Where the server says in Server-Timing or Cache-Status what it has decided, that
is told in words. Where the admin endpoint of a running Caddy can be reached, it
is told what was counted there in between.
` + endpointHelp + `
--connect is where to find the host of the URL, instead of in DNS.

The exit status is 0 if the reload is a 304, 1 if it is not, and 2 if the command
cannot be carried out as it was given.
`,
		Example: "  $ caddy conditional-cache explain https://example.com/",
	}
	endpointFlags(cmd)
	flags := cmd.Flags()
	flags.StringArrayP("header", "H", nil, `Field to send, as "Name: value"`)
	flags.String("connect", "", "Where to find the host of the URL, instead of in DNS")
	flags.Duration("timeout", audit.DefaultTimeout, "How long a request may take")
	flags.Bool("json", false, "Print the story as JSON")
	cmd.RunE = runExplain
	return cmd
}

func runExplain(cmd *cobra.Command, args []string) error {
	options, u, err := readExplain(cmd, args)
	if err != nil {
		return usageError(cmd, err)
	}
	address, err := endpointOf(cmd)
	if err != nil {
		return usageError(cmd, err)
	}
	before, troubleWith := lookAt(address)
	if troubleWith != nil && asUsage(troubleWith) {
		return failed(cmd, address, troubleWith)
	}
	told := audit.Revalidate(contextOf(cmd), options, u)
	story := explain.Tell(told)
	switch {
	case before != nil:
		requests := 2 + len(told.Hops)
		after := lookAgain(contextOf(cmd), address, before, requests)
		story.Insert(explain.Counters, countersSay(address, before, after, requests, explain.Words(told)))
	case cmd.Flags().Changed("address") || cmd.Flags().Changed("config"):
		story.Insert(explain.Counters, []string{fmt.Sprintf("The admin endpoint %s does not say what was counted: %v.", address, troubleWith)})
	}
	if err := writeStory(cmd, story, told); err != nil {
		return err
	}
	if !story.NotModified {
		cmd.SilenceErrors = true
		return errSentInFull
	}
	return nil
}

func readExplain(cmd *cobra.Command, args []string) (*audit.Options, *url.URL, error) {
	if len(args) != 1 {
		return nil, nil, fmt.Errorf("explain is about one URL; there are %d", len(args))
	}
	u, err := audit.ParseURL(args[0])
	if err != nil {
		return nil, nil, err
	}
	flags := cmd.Flags()
	options := new(audit.Options)
	if options.Timeout, _ = flags.GetDuration("timeout"); options.Timeout == 0 {
		return nil, nil, errors.New("timeout has to be more than nothing")
	}
	if at, _ := flags.GetString("connect"); at != "" {
		options.Addresses = []string{at}
	}
	fields, _ := flags.GetStringArray("header")
	if options.Header, err = readFields(fields); err != nil {
		return nil, nil, err
	}
	return options, u, options.Check()
}

// lookAt asks an endpoint for what was counted. Of what is not there nothing is known.
func lookAt(address string) (*topSaid, error) {
	text, err := request(address, http.MethodGet, fmt.Sprintf("%s?limit=%d", topPath, maxRows), "")
	if err != nil {
		return nil, err
	}
	return readTop(text)
}

// lookAgain waits until the requests are counted, which they are when they have ended; they may not come through this Caddy at all.
func lookAgain(ctx context.Context, address string, before *topSaid, requests int) *topSaid {
	const tries, pause = 5, 100 * time.Millisecond
	var after *topSaid
	for range tries {
		if now, err := lookAt(address); err == nil {
			after = now
		}
		if after != nil && after.answers()-before.answers() >= uint64(requests) { //nolint:gosec // a few
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return after
}

// answers is how many were counted to GET and HEAD.
func (s *topSaid) answers() (n uint64) {
	n = s.NotModified
	for i := range s.Reasons {
		n += s.Reasons[i].Count
	}
	return n
}

// countersSay is what became more between two looks, in sentences. What say returns stands for the sentence of a reason.
func countersSay(address string, before, after *topSaid, requests int, say func(reason, sentence string) string) (all []string) {
	switch {
	case after == nil:
		return []string{fmt.Sprintf("The admin endpoint %s did not answer a second time.", address)}
	case !after.Since.Equal(before.Since):
		return []string{fmt.Sprintf("The Caddy at %s was started anew in between, or two Caddys answer at %[1]s, so its counters say nothing.", address)}
	case after.answers() == before.answers():
		return []string{fmt.Sprintf("The Caddy at %s has counted nothing in between: these requests did not come through its conditional_cache. "+
			"Is it another Caddy? --address says where to ask. Or the directive stands behind what answers, as below respond in a route.", address)}
	}
	head := fmt.Sprintf("The Caddy at %s has counted in between: answers %d, of these 304 %d, and of these from memory %d",
		address, after.answers()-before.answers(), after.NotModified-before.NotModified, after.FromMemory-before.FromMemory)
	if after.answers()-before.answers() > uint64(requests) { //nolint:gosec // a few
		head += "; those of others are among them"
	}
	all = append(all, head+".")
	for _, list := range [...]struct {
		text          string
		before, after []reasonSaid
	}{
		{"No 304", before.Reasons, after.Reasons}, {"Not from memory", before.Memory, after.Memory}, {"Not remembered", before.NotRemembered, after.NotRemembered},
	} {
		for i := range list.after {
			said := &list.after[i]
			if n, _ := countOf(list.before, said); said.Count > n {
				all = append(all, fmt.Sprintf("%s, %s: %s, %s.", list.text, times(said.Count-n), plain(said.Reason), plain(say(said.Reason, said.Sentence))))
			}
		}
	}
	all = append(all, linesSay(before.CacheControl, after.CacheControl)...)
	return append(all, storesSay(before.Stores, after.Stores)...)
}

// linesSay tells which lines of cache_control were found, and what became of them.
func linesSay(before, after []lineSaid) (all []string) {
	for i := range after {
		said := &after[i]
		n := said.Count
		for j := range before {
			if before[j].Line == said.Line && before[j].Reason == said.Reason {
				n -= min(n, before[j].Count)
			}
		}
		which := ""
		if said.Line > 0 {
			which = fmt.Sprintf("line %d of the block, ", said.Line)
		}
		if n > 0 {
			all = append(all, fmt.Sprintf("cache_control, %s: %s%s, %s.", times(n), which, plain(said.Reason), plain(said.Sentence)))
		}
	}
	return all
}

// times is how often, in words.
func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// storesSay tells what was remembered and found.
func storesSay(before, after []storeSaid) (all []string) {
	if len(before) != len(after) {
		return nil // another configuration
	}
	for i := range after {
		was, is := &before[i], &after[i]
		if was.Name != is.Name {
			continue
		}
		var parts []string
		if is.Entries > was.Entries {
			parts = append(parts, fmt.Sprintf("%d remembered more than before", is.Entries-was.Entries))
		}
		if is.Hits > was.Hits {
			parts = append(parts, fmt.Sprintf("%d found", is.Hits-was.Hits))
		}
		if is.Misses > was.Misses {
			parts = append(parts, fmt.Sprintf("%d not found", is.Misses-was.Misses))
		}
		if len(parts) > 0 {
			all = append(all, fmt.Sprintf("Store %s: %s.", plain(is.Name), strings.Join(parts, ", ")))
		}
	}
	return all
}

func writeStory(cmd *cobra.Command, story *explain.Story, told *audit.Revalidation) error {
	out := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return storyJSON(out, story, told)
	}
	return explain.Text(out, story, coloured(out))
}

// storyVersion is that of the JSON: it changes when what is there changes its meaning or goes.
const storyVersion = 1

type exchangeSaid struct {
	Sent   http.Header `json:"sent"`
	Status int         `json:"status"`
	Header http.Header `json:"received"`
	Size   int64       `json:"bytes"`
	Cause  string      `json:"error,omitempty"`
}

func storyJSON(out io.Writer, story *explain.Story, told *audit.Revalidation) error {
	document := struct {
		Version     int            `json:"version"`
		URL         string         `json:"url"`
		Final       string         `json:"final_url"`
		NotModified bool           `json:"not_modified"`
		Exchanges   []exchangeSaid `json:"exchanges"`
		Story       []explain.Line `json:"story"`
	}{storyVersion, told.URL, told.Final, story.NotModified, []exchangeSaid{}, story.Lines}
	for _, a := range []*audit.Answered{told.First, told.Again} {
		if a != nil {
			document.Exchanges = append(document.Exchanges, exchangeSaid{a.Sent, a.Status, a.Header, a.Size, a.Cause})
		}
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
