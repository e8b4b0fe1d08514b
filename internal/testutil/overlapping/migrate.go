package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// version is the program's, which a test changes between two starts of the binary: of an upgrade, most likely.
var version = func() string {
	text, _ := os.ReadFile("version")
	return strings.TrimSpace(string(text))
}()

// migrate brings the schema, which is a file here, to this version, before the process is ready. Old rows get their new column in a run of Only.
func migrate() error {
	if version == "bad" {
		return fmt.Errorf("migration to version %s: column email exists", version)
	}
	if err := note("schema", "version %s added", version); err != nil {
		return err
	}
	return gozd.Only("backfill", func(context.Context) { _ = note("schema", "rows of version %s filled", version) })
}

// noteUpgrade has OnUpgrade say whose it is.
func noteUpgrade() {
	gozd.Defaults.OnUpgrade = func(context.Context) error { return note("schema", "version %s is asked", version) }
}

func readSchema(string) (string, error) {
	text, err := os.ReadFile("schema")
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", ", "), err
}
