package tlswatch_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// TestOffUnderFIPS runs itself in FIPS mode.
func TestOffUnderFIPS(t *testing.T) {
	if os.Getenv("TLSWATCH_FIPS") != "" {
		config := tlspeer.ServerConfig(t)
		if err := tlswatch.SelfTest(); !errors.Is(err, tlswatch.ErrFIPS) || tlswatch.Config(config) != config {
			t.Errorf("SelfTest = %v", err)
		}
		return
	}
	own := exec.Command(os.Args[0], "-test.run=^TestOffUnderFIPS$", "-test.v")
	own.Env = append(os.Environ(), "TLSWATCH_FIPS=1", "GODEBUG=fips140=on")
	out, err := own.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestOffUnderFIPS") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestSecretsAreNotPrinted prints a connection at each step of its handshake, and later.
func TestSecretsAreNotPrinted(t *testing.T) {
	clientEnd, serverEnd := tlspeer.Pipe()
	watched := tlswatch.New(serverEnd)
	var all strings.Builder
	show := func() {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			fmt.Fprintf(&all, verb+verb, watched, struct{ c *tlswatch.Conn }{watched})
		}
	}
	looked := &looking{Conn: watched, look: show}
	_, _, log := tlspeer.Pair(t, clientEnd, looked, tlswatch.Config(tlspeer.ServerConfig(t)))
	show()
	for _, label := range []string{tlspeer.ClientSecret, tlspeer.ServerSecret, "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"} {
		secret := log.Secret(label)
		for _, form := range []string{"%x", "%d", "%v", "%#v", "% x", "%s"} {
			text := strings.Trim(fmt.Sprintf(form, secret[:16]), "[]{}")
			if text = strings.TrimPrefix(text, "byte{"); strings.Contains(all.String(), text[len(text)/2:]) {
				t.Errorf("%s is printed", label)
			}
		}
	}
}
