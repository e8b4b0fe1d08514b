//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/tools"
)

// settings are what the command line says.
type settings struct {
	short  bool
	docs   bool
	render bool
	out    string
	only   string
	runs   int
	source string // directory of this module
}

func main() {
	log.SetFlags(0)
	var s settings
	flag.BoolVar(&s.short, "short", false, "six minutes: one run, fewer upgrades and connections")
	flag.BoolVar(&s.docs, "docs", false, "write into docs/compare, docs/compare.md and README.md of this clone")
	flag.BoolVar(&s.render, "render", false, "measure nothing: write pictures and page from the CSV files that are there")
	flag.StringVar(&s.out, "o", "", "`directory` for the CSV files and pictures (default: a new one in the temporary directory)")
	flag.StringVar(&s.only, "only", "", "measure only these `tools`, separated by commas and without those in their names; \"idle\" is gozd with many connections")
	flag.IntVar(&s.runs, "runs", 0, "how often each tool is measured, in turn (default: 3, and 1 with -short); latencies of single runs differ by more than tools do")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		for range term {
			if !tools.StrayTERM.Load() {
				stop()
			}
		}
	}()
	if err := run(ctx, s, os.Stdout); err != nil {
		stop()
		log.Fatal("compare: ", err) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, s settings, w io.Writer) error {
	if s.docs && s.only != "" {
		return errors.New("-docs is for all tools: -only cannot be beside it")
	}
	if s.runs < 0 {
		return fmt.Errorf("-runs %d: less than none", s.runs)
	}
	if err := s.findSource(); err != nil {
		return err
	}
	result, err := s.result(ctx, w)
	if err != nil {
		return err
	}
	if err := result.WriteText(w); err != nil {
		return err
	}
	if err := writePictures(result, s.out); err != nil {
		return err
	}
	if s.docs {
		if err := report.Update(filepath.Join(s.source, ".."), result); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "\nCSV files and pictures are in %s\n", s.out)
	return err
}

func (s settings) result(ctx context.Context, w io.Writer) (report.Result, error) {
	if s.render {
		return report.Read(s.out)
	}
	result, err := measureAll(ctx, s, w)
	if err != nil {
		return result, err
	}
	if err := result.Write(s.out); err != nil {
		return result, err
	}
	return report.Read(s.out) // rounded, as it will be read again
}

// findSource checks that this runs in the module's directory, where the programs are,
// and decides where the files go.
func (s *settings) findSource() (err error) {
	if s.source, err = os.Getwd(); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(s.source, "go.mod"))
	if err != nil || !strings.Contains(string(mod), "go-zero-downtime-daemon/compare\n") {
		return fmt.Errorf("%s is not the directory of this module: run it by go run -C compare", s.source)
	}
	switch {
	case s.docs && s.out == "":
		s.out = filepath.Join(s.source, "..", "docs", "compare")
	case s.render && s.out == "":
		return fmt.Errorf("-render needs -docs, or -o with the directory of the CSV files")
	case s.out == "":
		s.out, err = os.MkdirTemp("", "compare-")
	}
	if err != nil {
		return err
	}
	return os.MkdirAll(s.out, 0o755) //nolint:gosec // it is for everybody
}
