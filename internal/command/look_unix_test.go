//go:build unix

package command

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where the first look at the configuration or at its user fails nothing is started, and nothing serves: what looks again could find another
// configuration, as while that is being written, and would have been started by none.
func TestFirstLookFails(t *testing.T) {
	const group = "[web]\nmode http\nlisten 127.0.0.1:0\n"
	for _, test := range []struct{ name, text, says string }{
		{"empty", "", "app.conf: "},
		{"an unknown key", "[gozd]\nsuper yes\n" + group, `app.conf:2: [gozd]: unknown key "super"`},
		{"an unknown user", "[gozd]\nuser no-such-user\n" + group, `app.conf: [gozd]: user "no-such-user": `},
		{"an unknown group, with a supervisor", "[gozd]\nsupervise yes\ngroup no-such-group\n" + group, `app.conf: [gozd]: group "no-such-group": `},
	} {
		for _, foreground := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, -f %t", test.name, foreground), func(t *testing.T) {
				dir := t.TempDir()
				conf, binary, started := filepath.Join(dir, "app.conf"), filepath.Join(dir, "app"), filepath.Join(dir, "started")
				write(t, conf, test.text)
				write(t, binary, "#!/bin/sh\n: > "+started+"\n")
				c := &Command{Action: "start", Config: conf, Foreground: foreground}
				status, err := c.do(binary, func() error { return os.WriteFile(started, nil, 0o600) })
				if status != statusFailed || err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("it ended with %d, %v, want %q", status, err, test.says)
				}
				if _, err := os.Lstat(started); !os.IsNotExist(err) {
					t.Errorf("something has been started: %v", err)
				}
			})
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), fs.FileMode(0o755)); err != nil {
		t.Fatal(err)
	}
}
