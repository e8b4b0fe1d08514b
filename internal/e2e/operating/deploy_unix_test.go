//go:build unix

package operating

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// deployFiles is where the examples are that bring a binary to a fleet.
const deployFiles = "../../../examples/deploy"

// fleetHosts are daemons on this machine that take themselves for three.
var fleetHosts = []string{"one", "two", "three"}

// fleetTimeout is in the configuration of each.
const fleetTimeout = "upgrade_timeout 5s"

// fleet is the daemons of fleetHosts, each in the directory of that name.
type fleet struct {
	dir     string
	daemons []*daemon.Daemon
}

// startFleet starts three daemons of version 1.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{dir: shortdir.Make(t)}
	for _, host := range fleetHosts {
		dir := filepath.Join(f.dir, host)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		d, err := daemon.New(dir, binaries.Mixed(t), daemontest.OnlyWeb, fleetTimeout)
		if err != nil {
			t.Fatal(err)
		}
		daemontest.EndWithTest(t, d)
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.daemons = append(f.daemons, d)
	}
	return f
}

// want looks who serves on each host, and which binary is in place there.
func (f *fleet) want(t *testing.T, generations []int, binaries []string) {
	t.Helper()
	for i, d := range f.daemons {
		s, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		if s.Generation != generations[i] {
			t.Errorf("on %s generation %d serves, want %d", fleetHosts[i], s.Generation, generations[i])
		}
		if err := sameContent(binaries[i], d.Binary); err != nil {
			t.Errorf("on %s: %v", fleetHosts[i], err)
		}
	}
}

// release is one deployment: of a binary to hosts, by a gozdctl there.
type release struct {
	binary, gozdctl string
	hosts           []string
}

// deployment makes a release, and returns what it prints.
type deployment func(t *testing.T, f *fleet, r release) (string, error)

// down is a host at which nobody answers.
const down = "down"

// exits are the statuses with which a deployment ends, by that of gozdctl.
type exits struct{ failed, unknown, missing, down int }

// twoGroups is a configuration that starts neither version.
const twoGroups = "[web]\nmode http\nlisten 127.0.0.1:0\n[nobody]\nmode tcp\nlisten 127.0.0.1:0\n"

// testDeployment upgrades the whole fleet under load. Then releases fail in each way twice in a row: what was upgraded before
// stays so, the host on which it fails is as it was, and those after it were never touched.
func testDeployment(t *testing.T, deploy deployment, want exits) {
	t.Helper()
	f := startFleet(t)
	l := loadtest.StartLight(t, f.daemons[0])
	one, two, gozdctl := binaries.Mixed(t), binaries.Mixed2(t), binaries.Gozdctl(t)
	if output, err := deploy(t, f, release{two, gozdctl, fleetHosts}); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	loadtest.AwaitServed(t, l.Recorder(), 2)
	loadtest.End(t, l)
	f.want(t, []int{2, 2, 2}, []string{two, two, two})
	f.wantKept(t, []int{0, 1, 2}, ".previous", one)

	fails := func(r release, says string, exit int) {
		t.Helper()
		output, err := deploy(t, f, r)
		if failed := new(exec.ExitError); !errors.As(err, &failed) || failed.ExitCode() != exit {
			t.Errorf("the deployment ends with %v, want status %d", err, exit)
		}
		if !strings.Contains(output, says) {
			t.Errorf("it says\n%s\nwant %q in it", output, says)
		}
	}
	configure := func(host int, groups string) {
		t.Helper()
		if err := f.daemons[host].Configure(groups, fleetTimeout); err != nil {
			t.Fatal(err)
		}
	}
	const reason = "group nobody is not being accepted on"
	configure(1, twoGroups)
	for _, hosts := range [][]string{fleetHosts, fleetHosts[1:]} { // version 1 is the new binary now
		fails(release{one, gozdctl, hosts}, reason, want.failed)
		f.want(t, []int{3, 2, 2}, []string{one, two, two})
	}
	// Nothing is touched where nobody can say anything.
	fails(release{two, "/no/such/gozdctl", fleetHosts}, "/no/such/gozdctl", want.missing)
	fails(release{two, gozdctl, append([]string{down}, fleetHosts...)}, down, want.down)
	f.want(t, []int{3, 2, 2}, []string{one, two, two})

	// Twice the outcome is not known; a third failure puts back what served before both.
	patient := filepath.Join(f.dir, "gozdctl")
	script := fmt.Sprintf("#!/bin/sh\n[ $1 != upgrade ] || exit 4\nexec %s \"$@\"\n", gozdctl)
	if err := os.WriteFile(patient, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		fails(release{two, patient, fleetHosts}, "", want.unknown)
		f.want(t, []int{3, 2, 2}, []string{two, two, two})
		f.wantKept(t, []int{0}, ".kept", one)
	}
	configure(0, twoGroups)
	fails(release{two, gozdctl, fleetHosts}, reason, want.failed)
	f.want(t, []int{3, 2, 2}, []string{one, two, two})
}

// wantKept looks for a copy of a binary on hosts.
func (f *fleet) wantKept(t *testing.T, hosts []int, suffix, binary string) {
	t.Helper()
	for _, i := range hosts {
		if err := sameContent(binary, f.daemons[i].Binary+suffix); err != nil {
			t.Error(err)
		}
	}
}

func sameContent(a, b string) error {
	first, err1 := os.ReadFile(a)
	second, err2 := os.ReadFile(b)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !bytes.Equal(first, second) {
		return fmt.Errorf("%s is not %s", b, a)
	}
	return nil
}

func TestDeployByAnsible(t *testing.T) {
	t.Parallel() // ansible waits for itself most of the time
	ansible := require.Tool(t, "ansible-playbook", "package ansible-core")
	port := unusedPort(t)
	testDeployment(t, func(t *testing.T, f *fleet, r release) (string, error) {
		t.Helper()
		inventory := "[app]\n"
		for _, host := range r.hosts {
			i := slices.Index(fleetHosts, host)
			if i < 0 {
				inventory += host + " ansible_host=127.0.0.1 ansible_port=" + port + "\n"
				continue
			}
			d := f.daemons[i]
			inventory += fmt.Sprintf("%s ansible_connection=local app_binary=%s app_config=%s gozdctl=%s ansible_python_interpreter=/usr/bin/python3\n", host, d.Binary, d.Conf, r.gozdctl)
		}
		path := filepath.Join(f.dir, "inventory.ini")
		if err := os.WriteFile(path, []byte(inventory), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), ansible, "-i", path, filepath.Join(deployFiles, "upgrade.yml"), "-e", "new_binary="+r.binary)
		cmd.Env = append(os.Environ(), "ANSIBLE_HOME="+f.dir, "ANSIBLE_LOCAL_TEMP="+f.dir, "ANSIBLE_REMOTE_TMP="+f.dir, "ANSIBLE_NOCOLOR=1", "ANSIBLE_PIPELINING=1", "LC_ALL=C.UTF-8")
		output, err := cmd.CombinedOutput()
		return string(output), err
	}, exits{failed: 2, unknown: 2, missing: 2, down: 4}) // ansible-playbook's own
}

func TestDeployBySSH(t *testing.T) {
	t.Parallel()
	config := startSSH(t)
	testDeployment(t, func(t *testing.T, f *fleet, r release) (string, error) {
		t.Helper()
		script, err := filepath.Abs(filepath.Join(deployFiles, "deploy.sh"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), script, append([]string{r.binary}, r.hosts...)...)
		cmd.Env = append(os.Environ(), "SSH=ssh -F "+config, "GOZDCTL="+r.gozdctl,
			"BINARY="+filepath.Join(f.dir, "%h", filepath.Base(f.daemons[0].Binary)), "CONFIG="+filepath.Join(f.dir, "%h", "app.conf"))
		output, err := cmd.CombinedOutput()
		return string(output), err
	}, exits{failed: 1, unknown: 4, missing: 127, down: 255})
}

func TestDeployUsage(t *testing.T) {
	err := exec.CommandContext(t.Context(), filepath.Join(deployFiles, "deploy.sh"), "/no/such/binary", "one").Run()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("without a binary it ends with %v, want status 2", err)
	}
}

// startSSH starts an SSH server on loopback that knows one key, and returns the
// configuration of a client by which each of fleetHosts is this machine.
func startSSH(t *testing.T) (config string) {
	t.Helper()
	server := require.Tool(t, "sshd", "package openssh-server")
	require.Tool(t, "ssh", "package openssh-client")
	if _, err := os.Stat("/run/sshd"); err != nil && os.Geteuid() == 0 {
		require.Missing(t, "sshd needs the directory /run/sshd")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "client"} {
		keygen := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
		if output, err := keygen.CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, output)
		}
	}
	port := unusedPort(t)
	serverConfig := fmt.Sprintf("ListenAddress 127.0.0.1:%s\nHostKey %s/host\nAuthorizedKeysFile %[2]s/client.pub\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\n", port, dir)
	clientConfig := fmt.Sprintf("Host "+down+"\nHostName 127.0.0.1\nPort "+unusedPort(t)+"\nHost %s\nHostName 127.0.0.1\nPort %s\nUser %s\nIdentityFile %s/client\nIdentitiesOnly yes\nBatchMode yes\nStrictHostKeyChecking no\nUserKnownHostsFile %[4]s/known\nLogLevel ERROR\n",
		strings.Join(fleetHosts, " "), port, me.Username, dir)
	serverFile, clientFile := filepath.Join(dir, "sshd_config"), filepath.Join(dir, "ssh_config")
	for file, text := range map[string]string{serverFile: serverConfig, clientFile: clientConfig} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "sshd.log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, server, "-D", "-e", "-f", serverFile)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("sshd says:\n%s", text)
		}
		_ = log.Close()
	})
	daemontest.Await(t, "the SSH server", func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	wantLogin(t, clientFile, log.Name())
	return clientFile
}

// wantLogin skips the test where the server lets this user in by no key: his account may be locked, or have no shell.
func wantLogin(t *testing.T, config, log string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "ssh", "-F", config, fleetHosts[0], "true").CombinedOutput()
	if err == nil {
		return
	}
	said, logErr := os.ReadFile(log)
	if logErr != nil {
		t.Fatal(logErr)
	}
	for line := range strings.Lines(string(said)) {
		if strings.Contains(line, " not allowed because ") {
			require.Missing(t, "sshd: "+strings.TrimSpace(line))
		}
	}
	if strings.Contains(string(output), "not available") { // as nologin says it
		require.Missing(t, "this user has no shell: "+strings.TrimSpace(string(output)))
	}
	t.Fatalf("ssh: %v: %s", err, output)
}

// unusedPort returns a port for a program that cannot choose one itself.
func unusedPort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeport.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
