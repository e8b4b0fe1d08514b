package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// Daemon is a daemon in a directory of its own: binary, configuration, PID file,
// sockets and log. Its methods are safe for concurrent use.
type Daemon struct {
	Dir     string
	Binary  string
	Conf    string
	PIDFile string
	Log     string

	// Env are variables that are added to the environment of the daemon, as "NAME=value".
	Env []string

	mu   sync.Mutex // guards seen
	seen []process.State
}

// New prepares a daemon in dir that runs the program at binary, a copy of which is
// installed. groups is the configuration but for the section [gozd], to which
// options are added, one a line; key.pem and cert.pem in dir are a pair for
// localhost.
func New(dir, binary, groups string, options ...string) (*Daemon, error) {
	d := &Daemon{
		Dir:     dir,
		Binary:  filepath.Join(dir, filepath.Base(binary)),
		Conf:    filepath.Join(dir, "app.conf"),
		PIDFile: filepath.Join(dir, "app.pid"),
		Log:     filepath.Join(dir, "app.log"),
	}
	if err := WriteKeyPair(dir); err != nil {
		return nil, err
	}
	if err := Install(binary, d.Binary); err != nil {
		return nil, err
	}
	return d, d.Configure(groups, options...)
}

// Configure writes the configuration. A running daemon reads it at its next
// upgrade.
func (d *Daemon) Configure(groups string, options ...string) error {
	lines := append([]string{"[gozd]", "pidfile app.pid", "log app.log"}, options...)
	text := strings.Join(lines, "\n") + "\n" + groups
	return os.WriteFile(d.Conf, []byte(text), 0o644)
}

// waitDelay is how long a command's output may be open after its end, by mistake: a process of somebody else's that is about to execute its program has
// it too, and that takes long on a busy machine.
const waitDelay = 10 * time.Second

// Command returns the command that runs the daemon's program on its configuration.
func (d *Daemon) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.Binary, append([]string{"-c", d.Conf, "-v"}, args...)...)
	cmd.Dir = d.Dir
	if d.Env != nil {
		cmd.Env = append(os.Environ(), d.Env...)
	}
	cmd.WaitDelay = waitDelay
	return cmd
}

// Start starts the daemon detached and returns when it is ready.
func (d *Daemon) Start(ctx context.Context) error {
	AdoptOrphans()
	if output, err := d.Command(ctx).CombinedOutput(); err != nil {
		return fmt.Errorf("start %s: %w: %s", d.Binary, err, output)
	}
	_, err := d.State()
	return err
}

// State returns what the serving generation says of itself.
func (d *Daemon) State() (*process.State, error) {
	s, err := process.ReadState(d.PIDFile)
	if err != nil {
		return nil, err
	}
	d.remember(s)
	return s, nil
}

func (d *Daemon) remember(s *process.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, known := range d.seen {
		if known.PID == s.PID && known.StartTime == s.StartTime {
			return
		}
	}
	d.seen = append(d.seen, *s)
}

// Upgrade asks the serving generation for an upgrade on its control socket, and waits until the next one serves, as
// -s reload does.
func (d *Daemon) Upgrade(ctx context.Context) (*client.Upgraded, error) {
	return d.UpgradeTelling(ctx, nil)
}

// UpgradeTelling is Upgrade, and calls onEvent, if non-nil, with each event as it comes.
func (d *Daemon) UpgradeTelling(ctx context.Context, onEvent func(protocol.Event)) (*client.Upgraded, error) {
	up, err := client.Reload(ctx, d.PIDFile, onEvent)
	if err != nil {
		return nil, err
	}
	d.remember(&process.State{PID: up.Served.PID, StartTime: up.Served.StartTime, Generation: up.Served.Generation})
	return up, nil
}

// Rollback ends the upgrade that is on probation, and waits until the generation before serves alone again.
func (d *Daemon) Rollback(ctx context.Context) (*protocol.Answer, error) {
	c, err := client.Dial(ctx, d.PIDFile)
	if err != nil {
		return nil, err
	}
	return c.Rollback(ctx)
}

// ReloadCerts has the serving generation read its key pairs again.
func (d *Daemon) ReloadCerts(ctx context.Context) (*protocol.Answer, error) {
	c, err := client.Dial(ctx, d.PIDFile)
	if err != nil {
		return nil, err
	}
	return c.ReloadCerts(ctx)
}

// Status asks the serving generation what it knows.
func (d *Daemon) Status(ctx context.Context) (*protocol.Status, error) {
	c, err := client.Dial(ctx, d.PIDFile)
	if err != nil {
		return nil, err
	}
	return c.Status(ctx)
}

// Target is where a group can be reached.
func (d *Daemon) Target(group string) (load.Target, error) {
	s, err := d.State()
	if err != nil {
		return load.Target{}, err
	}
	network, address, ok := strings.Cut(s.Listen[group], " ")
	if !ok {
		return load.Target{}, fmt.Errorf("group %s is not served: %v", group, s.Listen)
	}
	t := load.Target{Network: network, Address: address}
	if group == "secure" {
		t.TLS = clientTLS()
	}
	return t, nil
}

// Alive returns the generations that still live, oldest first.
func (d *Daemon) Alive() []process.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	var alive []process.State
	for _, s := range d.seen {
		if p, err := process.Open(s.PID, s.StartTime); err == nil {
			p.Close()
			alive = append(alive, s)
		}
	}
	return alive
}

// WaitAlive waits until just n generations live.
func (d *Daemon) WaitAlive(ctx context.Context, n int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		d.reap()
		alive := d.Alive()
		if len(alive) == n {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d generations live instead of %d: %w", len(alive), n, ctx.Err())
		}
	}
}

// Stop stops the daemon, and kills what is still there when ctx is done or the
// daemon does not answer; that is an error.
func (d *Daemon) Stop(ctx context.Context) error {
	_, err := control.Stop(ctx, d.PIDFile)
	if errors.Is(err, process.ErrNotRunning) {
		err = nil
	}
	if waitErr := d.WaitAlive(ctx, 0); waitErr != nil {
		err = errors.Join(err, waitErr, d.kill())
	}
	d.reap()
	return err
}

// kill ends every process that has ever served.
func (d *Daemon) kill() error {
	var errs []error
	for _, s := range d.Alive() {
		p, err := process.Open(s.PID, s.StartTime)
		if err != nil {
			continue
		}
		errs = append(errs, p.Signal(os.Kill))
		p.Close()
	}
	return errors.Join(errs...)
}

// reap collects the exit status of those that have ended and are our orphans.
func (d *Daemon) reap() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.seen {
		ReapProcess(s.PID)
	}
}

// LogText returns what the daemon has logged so far.
func (d *Daemon) LogText() string {
	data, err := os.ReadFile(d.Log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
