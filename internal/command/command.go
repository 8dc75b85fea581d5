// Package command has the subcommands of `caddy conditional-cache`, one file each.
package command

import (
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// exitUsage is the exit status for what was asked for wrongly. 1 is that of what was found.
const exitUsage = 2

// subcommands make the commands below this one.
var subcommands = [...]func() *cobra.Command{auditCommand}

// Register puts the command into Caddy. It is called once, by an init function.
func Register() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "conditional-cache",
		Usage: "<command>",
		Short: "Commands about caching and conditional requests",
		Long: `
Commands for the module http.handlers.conditional_cache, and for what it is
there for: entity tags, dates, conditional requests and Cache-Control.
`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.RunE = withoutCommand
			for _, make := range subcommands {
				cmd.AddCommand(make())
			}
		},
	})
}

// withoutCommand shows the help, or says what is wrong with the name of a command.
func withoutCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return usageError(cmd, fmt.Errorf("unrecognized command %q; there is: %s", args[0], strings.Join(names, ", ")))
}

// usageError ends a command with exitUsage. Caddy has a type for that, which it makes out of a status, and writes the
// words where it writes its own.
func usageError(cmd *cobra.Command, err error) error {
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitUsage, err })(cmd, nil)
}
