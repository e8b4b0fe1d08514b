package activation_test

import (
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
)

// FuzzStored reads names that systemd hands over, and that a service's user may have had it keep: what is
// understood is what the daemon itself would call the socket, and such a name breaks no message to systemd.
func FuzzStored(f *testing.F) {
	for _, name := range []string{"", "web", "gozd-", "gozd-web@", "gozd-web@127.0.0.1%3A80", "gozd-@%00", "gozd-a@b@c", "gozd-web@%zz", "gozd-web@a\nMAINPID=1"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		group, address, ok := activation.Socket{Name: name}.Stored()
		if !ok {
			return
		}
		again, err := activation.StoredName(group, address)
		if err != nil {
			return // too long
		}
		if strings.ContainsAny(again[len("gozd-")+len(group):], "\n\x00: ") {
			t.Errorf("%q is kept as %q", name, again)
		}
		if g, a, ok := (activation.Socket{Name: again}).Stored(); !ok || g != group || a != address {
			t.Errorf("%q is %q, %q, and its name %q is %q, %q, %v", name, group, address, again, g, a, ok)
		}
	})
}
