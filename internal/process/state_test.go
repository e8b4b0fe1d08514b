package process_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func TestStateRoundTrip(t *testing.T) {
	path := pidfileIn(t)
	want := &process.State{
		PID:         7,
		StartTime:   1<<63 + 1, // JavaScript's numbers are not enough for it
		Generation:  3,
		Since:       time.Date(2024, 2, 29, 12, 0, 0, 5, time.UTC),
		Binary:      "/opt/app/current/app",
		Listen:      map[string]string{"web": "tcp 127.0.0.1:80", "unix": "unix /run/x.sock"},
		Config:      "/etc/\"x\"\nü.conf",
		UpgradeWait: process.Duration(70 * time.Second),
		StopWait:    process.Duration(1500 * time.Millisecond),
	}
	if err := process.WriteState(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := process.ReadState(path)
	want.PIDFile = path
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ReadState = %+v, %v, want %+v", got, err, want)
	}
	text, _ := os.ReadFile(process.StatePath(path))
	for _, want := range []string{`"upgrade_wait": "1m10s"`, `"stop_wait": "1.5s"`, `"generation": 3`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the file lacks %s:\n%s", want, text)
		}
	}
}

// Whoever waits, as root's gozdctl does, does not wait for ever because the daemon's user has written so.
func TestTimesOfAStateAreBounded(t *testing.T) {
	path := pidfileIn(t)
	for said, want := range map[string]time.Duration{"2562047h": process.MaxWait, "24h0m1s": process.MaxWait, "24h": process.MaxWait, "1m": time.Minute, "0s": 0, "-1h": 0} {
		if err := os.WriteFile(process.StatePath(path), fmt.Appendf(nil, `{"stop_wait":%q,"upgrade_wait":%q}`, said, said), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := process.ReadState(path)
		if err != nil {
			t.Fatal(err)
		}
		if time.Duration(s.StopWait) != want || time.Duration(s.UpgradeWait) != want {
			t.Errorf("%s is read as %v and %v, want %v", said, time.Duration(s.StopWait), time.Duration(s.UpgradeWait), want)
		}
	}
}

func TestReadStateFails(t *testing.T) {
	path := pidfileIn(t)
	if _, err := process.ReadState(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadState without a file: %v, want fs.ErrNotExist", err)
	}
	for _, content := range []string{"", "12\n", "{", `{"pid":"x"}`, `{"stop_wait":"soon"}`, `{"start_time":-1}`} {
		if err := os.WriteFile(process.StatePath(path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := process.ReadState(path)
		if err == nil || !strings.Contains(err.Error(), process.StatePath(path)) {
			t.Errorf("ReadState of %q = %+v, %v, want an error that names the file", content, s, err)
		}
	}
}

func TestWriteStateFails(t *testing.T) {
	err := process.WriteState(pidfileIn(t)+"/missing/app.pid", &process.State{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "state file: ") {
		t.Errorf("WriteState = %v, want a state file error that wraps fs.ErrNotExist", err)
	}
}

// Where no new file can be made, as on a full disk, the old one is overwritten. Here the
// new one's name is too long.
func TestWriteStateInPlace(t *testing.T) {
	path := pidfileIn(t) + strings.Repeat("x", 230)
	if err := os.WriteFile(process.StatePath(path), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, binary := range []string{"/" + strings.Repeat("long/", 100), "/short"} {
		if err := process.WriteState(path, &process.State{PID: 7, Binary: binary}); err != nil {
			t.Fatal(err)
		}
		if got, err := process.ReadState(path); err != nil || got.PID != 7 || got.Binary != binary {
			t.Errorf("ReadState = %+v, %v, want pid 7 and %q", got, err, binary)
		}
	}
}

// What another process, or somebody's editor, has left in the state file is an error or a state that
// is written and read as the same again, and never a number by which a signal would reach many processes.
func FuzzReadState(f *testing.F) {
	f.Add([]byte(`{"pid":7,"start_time":9,"generation":3,"since":"2024-02-29T12:00:00Z","listen":{"web":"tcp 127.0.0.1:80"},"upgrade_wait":"1m0s"}`))
	f.Add([]byte(`{"pid":7,"stop_wait":"1s","control":true}`))
	f.Add([]byte(`{"pid":-1}`))
	f.Add([]byte("{\"pid\":7}\n\n\n"))
	path := pidfileIn(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(process.StatePath(path), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := process.ReadState(path)
		if err != nil {
			if s != nil {
				t.Errorf("%q is %+v beside the error %v", data, s, err)
			}
			return
		}
		if p, err := process.Open(s.PID, s.StartTime); err == nil && s.PID <= 0 {
			p.Close()
			t.Errorf("%q leads to signals to process %d", data, s.PID)
		}
		if err := process.WriteState(path, s); err != nil {
			return // a year that has more than four digits
		}
		again, err := process.ReadState(path)
		if err != nil || again.PID != s.PID || again.Generation != s.Generation || !again.Since.Equal(s.Since) || !maps.Equal(again.Listen, s.Listen) {
			t.Errorf("%+v becomes %+v, %v", s, again, err)
		}
	})
}
