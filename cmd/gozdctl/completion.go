package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

const aboutCompletion = `Prints a script by which a shell completes the commands, flags and files of gozdctl:

  bash  gozdctl completion bash > /etc/bash_completion.d/gozdctl
  zsh   gozdctl completion zsh > "${fpath[1]}/_gozdctl"
  fish  gozdctl completion fish > ~/.config/fish/completions/gozdctl.fish

Without the bash-completion package, which reads that directory, ~/.bashrc can have:

  source <(gozdctl completion bash)`

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
				return writeBashCompletion(root, w)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			}
			return usageError("unknown shell %q: it takes %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// withoutPackage is what cobra's script calls of the bash-completion package, in a form that needs no package. The words are those of the
// line up to the cursor, with their quotes: the script joins them again for gozdctl.
const withoutPackage = `
__gozdctl_words()
{
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=${words[cword > 0 ? cword - 1 : 0]}
}

__gozdctl_filedir()
{
    if declare -F _filedir >/dev/null; then
        _filedir "$@"
        return
    fi
    compopt -o filenames 2>/dev/null
    local name extension
    while IFS= read -r name; do
        COMPREPLY+=("$name")
    done < <(
        compgen -d -- "$cur"
        [[ ${1-} == -d ]] && exit
        [[ -z ${1-} ]] && compgen -f -- "$cur"
        IFS='|'
        for extension in ${1-}; do
            compgen -f -X "!*.$extension" -- "$cur"
        done
    )
}
`

// writeBashCompletion prints cobra's script, which works without the bash-completion package then. With the package it uses that.
func writeBashCompletion(root *cobra.Command, w io.Writer) error {
	var script bytes.Buffer
	if err := root.GenBashCompletionV2(&script, true); err != nil {
		return err
	}
	text := strings.NewReplacer(
		`_get_comp_words_by_ref "$@" cur prev words cword`, "__gozdctl_words",
		"_filedir", "__gozdctl_filedir",
	).Replace(script.String())
	_, err := io.WriteString(w, text+withoutPackage)
	return err
}
