package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const longAbout = `gozdctl acts on a running daemon that was built with gozd. It asks the daemon itself, on its
control socket, waits for the outcome, and says what it was.

Almost every command takes the daemon's PID file, or its configuration with -c, which names the PID file.`

// rootCommand has all verbs.
func rootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:               "gozdctl COMMAND",
		Short:             "control daemons built with gozd",
		Long:              longAbout,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.stderr.printf("%s", cmd.UsageString())
			return usageError("it takes a command")
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.DisableFlagsInUseLine = true
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .HasAvailableSubCommands}}\n  {{.CommandPath}} [command]{{end}}", "", 1)) // "COMMAND" says it
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%v", err) })
	root.AddGroup(
		&cobra.Group{ID: groupAct, Title: "Commands that act on the daemon:"},
		&cobra.Group{ID: groupShow, Title: "Commands that show something:"},
		&cobra.Group{ID: groupInstall, Title: "Commands that print what to install:"},
	)
	for _, cmd := range []*cobra.Command{
		startCommand(a), restartCommand(a), stopCommand(a), quitCommand(a), reopenCommand(a), reloadCertsCommand(a), upgradeCommand(a), rollbackCommand(a),
	} {
		cmd.GroupID = groupAct
		root.AddCommand(cmd)
	}
	for _, cmd := range []*cobra.Command{statusCommand(a), isActiveCommand(a), listCommand(a), checkCommand(a), logsCommand(a), versionCommand(a)} {
		cmd.GroupID = groupShow
		root.AddCommand(cmd)
	}
	for _, cmd := range []*cobra.Command{unitCommand(a), completionCommand(a), manCommand(a)} {
		cmd.GroupID = groupInstall
		root.AddCommand(cmd)
	}
	root.AddCommand(exitStatusTopic())
	return root
}

// The groups of commands in the help text.
const (
	groupAct     = "act"
	groupShow    = "show"
	groupInstall = "install"
)

// unknownCommand is what is wrong with the arguments of gozdctl itself: they were no command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		text += fmt.Sprintf(": did you mean %s?", strings.Join(like, " or "))
	}
	return usageError("%s", text)
}
