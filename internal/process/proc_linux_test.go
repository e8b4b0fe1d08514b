package process_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// A process chooses its name, which stands among what the kernel says of it: no name passes for that.
func FuzzProc(f *testing.F) {
	f.Add([]byte("sleep"), 1, uint64(9))
	f.Add([]byte(") Z 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"), 2, uint64(1<<63))
	f.Add([]byte("a\nUid:\t0\t0\t0\t0"), 3, uint64(0))
	f.Add([]byte("Uid:\t0"), 3, uint64(0))
	f.Fuzz(func(t *testing.T, name []byte, parent int, start uint64) {
		_, _, _, _ = process.ParseStat(name)
		_, _ = process.ParseStatus(name, "Uid")

		stat := fmt.Sprintf("7 (%s) S %d%s %d 0 0\n", name, parent, strings.Repeat(" 0", 17), start)
		state, gotParent, gotStart, err := process.ParseStat([]byte(stat))
		if err != nil || state != "S" || gotParent != parent || gotStart != start {
			t.Errorf("%q is state %q, parent %d, start %d, %v", stat, state, gotParent, gotStart, err)
		}
		escaped := strings.ReplaceAll(string(name), "\n", `\n`) // as the kernel does
		status := fmt.Sprintf("Name:\t%s\nTgid:\t7\nUid:\t%d\t5\t5\t5\n", escaped, parent)
		if ids, err := process.ParseStatus([]byte(status), "Uid"); err != nil || !slices.Equal(ids, []int{parent, 5, 5, 5}) {
			t.Errorf("%q has the users %v, %v", status, ids, err)
		}
	})
}
