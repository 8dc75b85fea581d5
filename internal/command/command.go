// Package command has the subcommands of `caddy conditional-cache`, one file each.
package command

import (
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Exit statuses: of what was found or did not work, and of what was asked for wrongly.
const (
	exitFailed = 1
	exitUsage  = 2
)

// subcommands make the commands below this one.
var subcommands = [...]func() *cobra.Command{auditCommand, explainCommand, statusCommand, topCommand, purgeCommand}

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

// usageError ends a command with exitUsage.
func usageError(cmd *cobra.Command, err error) error { return ended(cmd, exitUsage, err) }

// ended ends a command with an exit status other than 0. Caddy has a type for that, which it makes out of a status, and writes the
// words where it writes its own.
func ended(cmd *cobra.Command, status int, err error) error {
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, err })(cmd, nil)
}
