package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// A log that stands still holds nobody up for long, and what there is room for is written when it goes on.
func TestLogThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		log := New(Unstuck(w), false, config.LogText)
		began := time.Now()
		const lines = maxLines + 10
		for i := range lines {
			log.Info("line", "n", i)
		}
		if took := time.Since(began); took != patience {
			t.Errorf("%d lines took %v, want %v", lines, took, patience)
		}
		var got bytes.Buffer
		go func() { _, _ = io.Copy(&got, r) }()
		synctest.Wait()
		log.Info("goes on.")
		if took := time.Since(began); took != patience {
			t.Errorf("a line took %v when it was read again", took-patience)
		}
		_ = w.Close()
		synctest.Wait()
		// One is being written while the others wait.
		for i := range maxLines + 1 {
			if !strings.Contains(got.String(), fmt.Sprintf("n=%d\n", i)) {
				t.Fatalf("line %d is missing", i)
			}
		}
		if !strings.Contains(got.String(), "lines=9") || !strings.Contains(got.String(), "goes on.") {
			t.Errorf("it ends with %q", got.String()[got.Len()-200:])
		}
	})
}

// Lines are there when they have been logged, in their order.
func TestLogIsWrittenAtOnce(t *testing.T) {
	var out bytes.Buffer
	log := New(Unstuck(&out), false, config.LogText)
	for i := range 100 {
		log.Info("line", "n", i)
		if lines := strings.Split(out.String(), "\n"); len(lines) != i+2 || !strings.HasSuffix(lines[i], fmt.Sprintf("n=%d", i)) {
			t.Fatalf("after line %d: %q", i, lines)
		}
	}
}

// What says that lines are missing has the form of all others.
func TestMissingLinesInJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		log := New(Unstuck(w), false, config.LogJSON)
		for i := range maxLines + 2 {
			log.Info("line", "n", i)
		}
		var got bytes.Buffer
		go func() { _, _ = io.Copy(&got, r) }()
		synctest.Wait()
		_ = w.Close()
		synctest.Wait()
		for line := range bytes.Lines(got.Bytes()) {
			if !json.Valid(line) {
				t.Errorf("%q is not JSON", line)
			}
		}
		if !strings.Contains(got.String(), `"lines":1`) {
			t.Error("nothing says that a line is missing")
		}
	})
}
