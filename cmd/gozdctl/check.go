package main

import (
	"context"
	"fmt"
	"io"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	internalcheck "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
)

// check reports everything that is wrong with a configuration file.
func check(_ context.Context, args []string, stdout, _ io.Writer) error {
	file, err := argument(args, "configuration file")
	if err != nil {
		return err
	}
	conf, err := cfg.Load(file, cfg.Options{AnySocket: true})
	if err != nil {
		return err
	}
	if err := internalcheck.Config(conf); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: the configuration is good\n", conf.File)
	return err
}
