package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestWrapperThatGoesOn has a successor die in a shell script that has more to do then. The parent serves again all the same, and can
// be upgraded.
func TestWrapperThatGoesOn(t *testing.T) {
	t.Parallel() // it waits most of its time
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	first, err := d.State()
	require.NoError(t, err)
	program, fifo := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, daemon.Install(binaries.Mixed2(t), program))
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	t.Cleanup(func() { // a wrapper that lives ends
		if f, err := os.OpenFile(fifo, os.O_RDWR, 0); err == nil {
			_ = f.Close()
		}
	})
	daemontest.Replace(fmt.Sprintf("#!/bin/sh\n%s \"$@\"\nread line <%s\n", program, fifo), 0o755)(t, d)
	daemontest.Upgrade(t, d)
	second, err := d.State()
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, syscall.Kill(second.PID, syscall.SIGKILL))
	daemontest.Await(t, "generation 1 serves again", func() bool { s, err := d.State(); return err == nil && s.PID == first.PID })
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("that has taken %v", took)
	}
	if text := d.LogText(); !strings.Contains(text, "the wrapper that had started it went on, and has been killed") {
		t.Error("the log does not say why")
	}
	require.NoError(t, os.Remove(d.Binary))
	daemontest.InstallGood(t, d)
	daemontest.Upgrade(t, d)
}

// TestWrapperThatHasEnded has a successor die, while its own one starts, whose wrapper has ended long ago: nobody tells the parent. It serves again all
// the same.
func TestWrapperThatHasEnded(t *testing.T) {
	t.Parallel() // it waits most of its time
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\ndrain_timeout 5m\n")
	first, err := d.State()
	require.NoError(t, err)
	held, err := net.Dial("tcp", daemontest.Target(t, d, "web").Address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = held.Close() })
	_, err = io.WriteString(held, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n") // generation 1 drains as long as that is not all
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, daemon.Install(binaries.Mixed2(t), program))
	daemontest.Replace(fmt.Sprintf("#!/bin/sh\n%s \"$@\" &\nsleep 2\n", program), 0o755)(t, d)
	daemontest.Upgrade(t, d)
	second, err := d.State()
	require.NoError(t, err)
	time.Sleep(9 * time.Second) // the wrapper has ended, and that was looked into
	require.NoError(t, os.Remove(program))
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n: >"+program+".started\nexec sleep 15\n"), 0o755)) // reads no bootstrap message
	go func() { _, _ = d.Upgrade(context.WithoutCancel(t.Context())) }()
	daemontest.Await(t, "process that generation 2 starts", func() bool { _, err := os.Stat(program + ".started"); return err == nil })
	require.NoError(t, syscall.Kill(second.PID, syscall.SIGKILL))
	daemontest.Await(t, "generation 1 serves again", func() bool { s, err := d.State(); return err == nil && s.PID == first.PID })
	if text := d.LogText(); !strings.Contains(text, "the wrapper that had started it had ended before") {
		t.Error("the log does not say how it has ended")
	}
}

// TestAnotherNamespace has a wrapper start the successor where it has another PID, or start time, than everybody else knows it by: whoever signals
// those would meet strangers, or find nobody.
func TestAnotherNamespace(t *testing.T) {
	require.Root(t)
	t.Parallel() // it waits most of its time
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, daemon.Install(binaries.Mixed2(t), program))
	for options, kind := range map[string]string{"--pid": "pid", "--pid --mount-proc": "pid", "--time --boottime 100000": "time"} {
		daemontest.Replace(fmt.Sprintf("#!/bin/sh\nexec unshare --fork --kill-child %s %s \"$@\"\n", options, program), 0o755)(t, d)
		_, err := d.Upgrade(t.Context())
		failed := new(client.UpgradeError)
		if !errors.As(err, &failed) || !strings.Contains(failed.Error(), "another "+kind+" namespace") {
			t.Errorf("%q: upgrade returned %v, want that it fails for the namespace", options, err)
		} else if strings.Contains(failed.Error(), "pid 1:") {
			t.Errorf("%q: %v: that is somebody else's PID", options, err)
		}
	}
	daemontest.InstallGood(t, d)
	daemontest.Upgrade(t, d)
}
