package gozd

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

func TestLoggerMarksItsLines(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		var out bytes.Buffer
		log := newLogger(&out, verbose, cfg.LogText).With("pid", 1).WithGroup("g")
		log.Info("hello", "a", 1)
		log.Warn("careful")
		log.Error("broken", "error", errors.New("why"))
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if !verbose {
			lines = append([]string{"[GOZD] msg=hello pid=1 g.a=1"}, lines...) // only warnings and errors
		}
		for i, want := range [][]string{
			{"[GOZD] ", "msg=hello", "pid=1", "g.a=1"},
			{"[GOZD] ", "level=WARN", "msg=careful"},
			{"[GOZDERR] ", "msg=broken", "g.error=why"},
		} {
			if len(lines) != 3 || !strings.HasPrefix(lines[i], want[0]) {
				t.Fatalf("verbose %v: %q", verbose, lines)
			}
			for _, part := range want[1:] {
				if !strings.Contains(lines[i], part) {
					t.Errorf("verbose %v: %q has no %q", verbose, lines[i], part)
				}
			}
		}
	}
}

func TestLoggerInJSON(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, false, cfg.LogJSON).With("generation", 2, "pid", 1)
	log.Info("hello") // not without -v
	log.Error("broken", "error", errors.New("why"))
	var line struct {
		Level, Msg, Error string
		Generation, PID   int
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q is not one object: %v", out.String(), err)
	}
	if line.Level != "ERROR" || line.Msg != "broken" || line.Error != "why" || line.Generation != 2 || line.PID != 1 {
		t.Errorf("the line is %s", out.String())
	}
}

func TestErrorsAreOneLineEach(t *testing.T) {
	err := errors.Join(errors.New("app.conf:1: one"), errors.New("app.conf:2: two"))
	for verbose, want := range map[bool]string{
		false: "app: app.conf:1: one\napp: app.conf:2: two\n",
		true:  "[GOZDERR] app.conf:1: one\n[GOZDERR] app.conf:2: two\n",
	} {
		var out bytes.Buffer
		fprintError(&out, "/usr/bin/app", verbose, err)
		if out.String() != want {
			t.Errorf("verbose %v: %q, want %q", verbose, out.String(), want)
		}
	}
}

func TestFlagsOfAProgram(t *testing.T) {
	fs := flag.NewFlagSet("app", flag.ContinueOnError)
	own := fs.String("name", "", "the program's own")
	a := new(arguments)
	if err := a.define(fs, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := fs.Parse([]string{"-s", "reload", "-name", "x", "-v"}); err != nil {
		t.Fatal(err)
	}
	if err := a.check(); err != nil || a.command != "reload" || !a.verbose || a.config != DefaultConfig || *own != "x" {
		t.Errorf("parsed %+v, %v, own %q", a, err, *own)
	}
	a.command = "restart"
	if err := a.check(); err == nil || !strings.Contains(err.Error(), `unknown command "restart": it takes start, stop`) {
		t.Errorf("check of -s restart = %v", err)
	}
	if err := new(arguments).define(fs, Options{}); err == nil || !strings.Contains(err.Error(), "flag -s is the daemon's") {
		t.Errorf("define over a flag of the program = %v", err)
	}
}
