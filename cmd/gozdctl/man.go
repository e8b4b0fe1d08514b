package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand is for who makes a package: make man does it.
func manCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "write the man pages into a directory",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("it takes one directory")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return writeManPages(cmd.Root(), args[0]) },
	}
}

func writeManPages(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // man pages are for everybody
		return fmt.Errorf("man pages: %w", err)
	}
	header := &doc.GenManHeader{Section: "1", Source: "gozd", Manual: "gozd"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("man pages: %w", err)
	}
	return writeTopics(root, header, dir)
}

// writeTopics writes the pages of the help that are no commands, which GenManTree leaves out.
func writeTopics(root *cobra.Command, header *doc.GenManHeader, dir string) error {
	for _, topic := range root.Commands() {
		if !topic.IsAdditionalHelpTopicCommand() {
			continue
		}
		var page bytes.Buffer
		h := *header
		h.Title = ""
		err := doc.GenMan(topic, &h, &page)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "gozdctl-"+topic.Name()+".1"), page.Bytes(), 0o644) //nolint:gosec // see above
		}
		if err != nil {
			return fmt.Errorf("man pages: %w", err)
		}
	}
	return nil
}
