package gozd

import (
	"flag"
	"strings"
	"testing"
)

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
