package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand is for who makes a package: make man does it.
func manCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY CONFIGURATION.md",
		Short:  "write the man pages into a directory",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError("it takes a directory, and docs/configuration.md for app.conf(5)")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := writeManPages(cmd.Root(), args[0], args[1]); err != nil {
				return fmt.Errorf("man pages: %w", err)
			}
			return nil
		},
	}
}

func writeManPages(root *cobra.Command, dir, configuration string) error {
	about, err := os.ReadFile(configuration)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // man pages are for everybody
		return err
	}
	header := doc.GenManHeader{Section: "1", Source: "gozd", Manual: "gozd"}
	pages := map[string][]byte{}
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() || cmd.IsAdditionalHelpTopicCommand() { // the latter are pages of the help that are no commands
			var page bytes.Buffer
			h := header
			if err := doc.GenMan(cmd, &h, &page); err != nil {
				return err
			}
			pages["gozdctl-"+cmd.Name()+".1"] = page.Bytes()
		}
	}
	var page bytes.Buffer
	if err := doc.GenMan(root, &header, &page); err != nil {
		return err
	}
	const last = "\n.SH SEE ALSO"
	pages["gozdctl.1"] = bytes.Replace(page.Bytes(), []byte(last), append(md2man.Render([]byte(rootSections(root))), last...), 1)
	pages["app.conf.5"] = md2man.Render([]byte(configSource(string(about), header.Date.Format("Jan 2006"))))
	return writeAnew(dir, pages)
}

// writeAnew makes files in a directory, in the place of those that are there: in another user's directory these may be links.
func writeAnew(dir string, files map[string][]byte) error {
	in, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	for name, text := range files {
		if err := in.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f, err := in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// rootSections are the sections of gozdctl(1) that cobra does not write.
func rootSections(root *cobra.Command) string {
	var text strings.Builder
	text.WriteString("## COMMANDS\n\n")
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			fmt.Fprintf(&text, "**%s**\n: %s\n\n", cmd.Name(), cmd.Short)
		}
	}
	text.WriteString(`## FILES

*PIDFILE*
: the process ID of the generation that serves

*PIDFILE*.lock
: locked as long as a generation of the daemon lives

*PIDFILE*.state
: what the daemon says of itself: gozdctl reads it before it asks

*PIDFILE*.*PID*.sock
: the control socket of each generation

*CONFIG*
: the daemon's configuration: see **app.conf(5)**

## EXIT STATUS

`)
	text.WriteString(aboutExitStatus + "\n")
	return text.String()
}

var markdownLink = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)

// configSource makes of docs/configuration.md what md2man renders well: without links, which lead nowhere from a man page, and with
// lists in place of tables.
func configSource(about, date string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%% \"APP.CONF\" \"5\" \"%s\" \"gozd\" \"gozd\"\n# NAME\napp.conf \\- configuration of a daemon built with gozd\n\n# DESCRIPTION\n", date)
	_, about, _ = strings.Cut(about, "\n") // its title
	lines := strings.Split(markdownLink.ReplaceAllString(about, "$1"), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "|") {
			text.WriteString(line + "\n")
			continue
		}
		isTitle := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "|-")
		if isTitle || strings.HasPrefix(line, "|-") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) == 3 && !strings.HasPrefix(cells[1], "required") {
			cells[1] = "default " + cells[1]
		}
		fmt.Fprintf(&text, "%s\n: %s\n\n", cells[0], strings.Join(cells[1:], "; "))
	}
	return text.String()
}
