package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

func TestLoggerMarksItsLines(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		var out bytes.Buffer
		log := New(&out, verbose, config.LogText).With("pid", 1).WithGroup("g")
		log.Debug("hello", "a", 1)
		log.Warn("careful")
		log.Error("broken", "error", errors.New("why"))
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if !verbose {
			lines = append([]string{"[GOZD] msg=hello pid=1 g.a=1"}, lines...) // no details
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
	log := New(&out, false, config.LogJSON).With("generation", 2, "pid", 1)
	log.Debug("hello") // not without -v
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
