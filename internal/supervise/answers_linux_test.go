package supervise_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// A generation heeds the answer that is for it, and needs none where there is no supervisor any more.
func TestAsk(t *testing.T) {
	tests := []struct{ name, answers, says string }{
		{"it is watched", "{\"to\":%d}\n", ""},
		{"it is refused", "{\"to\":%d,\"refused\":\"it is hidden\\nand more\"}\n", "for a generation: it is hidden; and more"},
		{"an answer for another one is first", "{\"to\":1,\"refused\":\"x\"}\nno answer\n{\"to\":%d,\"refused\":\"y\"}\n", "for a generation: y"},
		{"what is no answer is long", strings.Repeat("x", 20<<10) + "\n{\"to\":%d,\"refused\":\"z\"}\n", "for a generation: z"},
		{"the supervisor ends", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs, err := supervise.NewChannel()
			must(t, err)
			defer func() { _ = ours.Close() }()
			read, write, err := os.Pipe()
			must(t, err)
			c, err := supervise.NewClient(theirs, read)
			must(t, err)
			defer c.Close()
			answered := make(chan error, 1)
			go func() { answered <- answerAs(ours, write, test.answers) }()
			err = c.Ask(supervise.Event{}, time.Hour)
			must(t, <-answered)
			switch {
			case test.says == "" && err != nil:
				t.Errorf("Ask = %v", err)
			case test.says != "" && (err == nil || !strings.HasSuffix(err.Error(), test.says)):
				t.Errorf("Ask = %v, want %s", err, test.says)
			}
		})
	}
}

// A supervisor that is stopped does not keep a generation from being ready in its time.
func TestAskOfAStoppedSupervisor(t *testing.T) {
	ours, theirs, err := supervise.NewChannel()
	must(t, err)
	defer func() { _ = ours.Close() }()
	read, write, err := os.Pipe()
	must(t, err)
	defer func() { _ = write.Close() }()
	c, err := supervise.NewClient(theirs, read)
	must(t, err)
	defer c.Close()
	begun := time.Now()
	if err := c.Ask(supervise.Event{}, time.Second); !errors.Is(err, supervise.ErrSilent) {
		t.Errorf("Ask = %v", err)
	}
	if took := time.Since(begun); took >= time.Second {
		t.Errorf("Ask took %v of the second in which the generation has to be ready", took)
	}
}

// answerAs reads a question, and writes what answers it; then it is gone.
func answerAs(channel *os.File, answers io.WriteCloser, format string) error {
	defer func() { _ = answers.Close() }()
	buf := make([]byte, 4096)
	n, err := channel.Read(buf)
	if err != nil {
		return err
	}
	var asked supervise.Event
	if err := json.Unmarshal(buf[:n], &asked); err != nil {
		return err
	}
	if format != "" {
		_, err = fmt.Fprintf(answers, format, asked.Asks)
	}
	return err
}
