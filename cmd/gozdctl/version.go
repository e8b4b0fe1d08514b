package main

import (
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

func versionCommand(a *app) *cobra.Command {
	return a.verb(&cobra.Command{
		Use:   "version",
		Short: "show the version of gozdctl",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := ownBuild()
			a.out.Version = &b
			a.say("gozdctl %s, %s", version(b), b.Go)
			return nil
		},
	})
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("it takes no arguments, and got %s", strings.Join(args, " "))
	}
	return nil
}

// ownBuild is what the toolchain has noted in this binary.
func ownBuild() protocol.Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return protocol.Build{}
	}
	b := protocol.Build{Module: info.Main.Path, Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
