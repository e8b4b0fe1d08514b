package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const aboutCompletion = `Prints a script that has a shell complete the commands, flags and files of gozdctl:

  bash  gozdctl completion bash > /etc/bash_completion.d/gozdctl
  zsh   gozdctl completion zsh > "${fpath[1]}/_gozdctl"
  fish  gozdctl completion fish > ~/.config/fish/completions/gozdctl.fish`

func completionCommand(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:                   "completion " + strings.Join(shells, "|"),
		Short:                 "print a script for completion in a shell",
		Long:                  aboutCompletion,
		DisableFlagsInUseLine: true,
		ValidArgs:             shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("it takes one shell: %s", strings.Join(shells, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), a.stdout.w
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			}
			return usageError("unknown shell %q: it takes %s", args[0], strings.Join(shells, ", "))
		},
	}
}
