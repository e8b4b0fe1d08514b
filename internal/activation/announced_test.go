package activation_test

import (
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
)

func TestAnnounced(t *testing.T) {
	for _, tt := range []struct {
		mark, pid, count, names string
		first                   int
		want                    []string
		err                     string
	}{
		{want: nil},
		{pid: "7", count: "2", names: "web", first: 3, want: []string{"web", "LISTEN_FD_4"}},
		{pid: "8", count: "2", names: "web:api"},
		{pid: "7"},
		{pid: "7", count: "-1", err: `LISTEN_FDS is "-1", which is no number of sockets`},
		{pid: "7", count: "2000000000", err: `LISTEN_FDS is "2000000000", which is no number of sockets`},
		{pid: "7", count: "two", err: `LISTEN_FDS is "two", which is no number of sockets`},
		{mark: "5:web:api", first: 5, want: []string{"web", "api"}},
		{mark: "9223372036854775807:web:api", err: `GOZD_SOCKETS is "9223372036854775807:web:api", which names no sockets`},
		{mark: "2:web", err: `GOZD_SOCKETS is "2:web", which names no sockets`},
		{mark: "5", err: `GOZD_SOCKETS is "5", which names no sockets`},
	} {
		first, names, err := announced(tt.mark, tt.pid, tt.count, tt.names)
		if first != tt.first || !slices.Equal(names, tt.want) || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%+v: got %d, %q, %v", tt, first, names, err)
		}
	}
}

// announced reads variables as process 7.
func announced(mark, pid, count, names string) (int, []string, error) {
	env := map[string]string{"GOZD_SOCKETS": mark, "LISTEN_PID": pid, "LISTEN_FDS": count, "LISTEN_FDNAMES": names}
	return activation.Announced(func(name string) string { return env[name] }, 7)
}

// Whatever the variables are, the standard streams are not taken, and no descriptor that cannot be one.
func FuzzAnnounced(f *testing.F) {
	f.Add("", "7", "2", "web:api")
	f.Add("", "7", "-2", "")
	f.Add("", "7", "2147483648", ":::")
	f.Add("5:web:api", "", "", "")
	f.Add("9223372036854775807:web:api", "", "", "")
	f.Fuzz(func(t *testing.T, mark, pid, count, names string) {
		first, found, err := announced(mark, pid, count, names)
		if err != nil && len(found) > 0 || len(found) > 0 && (first < 3 || first+len(found) > 1<<31-1) {
			t.Errorf("descriptors %d and up are %d, %v", first, len(found), err)
		}
		if mark == "" && len(found) > 0 && pid != "7" {
			t.Errorf("process 7 takes what is %q's", pid)
		}
		if slices.ContainsFunc(found, func(name string) bool { return strings.Contains(name, ":") }) {
			t.Errorf("names %q", found)
		}
	})
}
