//go:build linux

package tools

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	tests := []struct {
		name, text string
		want       stat
		ok         bool
	}{
		{"plain", "12 (sh) S 7 12 12", stat{12, 7, "S"}, true},
		{"name with everything", "12 (a) R 1 (b) Z 7 1", stat{12, 7, "Z"}, true},
		{"no name", "12 S 7", stat{}, false},
		{"cut", "12 (sh) S", stat{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := parseStat([]byte(tt.text)); ok != tt.ok || (ok && got != tt.want) {
				t.Errorf("parseStat(%q) = %+v, %v, want %+v, %v", tt.text, got, ok, tt.want, tt.ok)
			}
		})
	}
}

// The end of a process that is nobody's child any more is noticed, and its memory is known before.
func TestProcesses(t *testing.T) {
	if err := adoptOrphans(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	d := &Daemon{stays: none, others: none, replaced: make(map[int]bool)}
	if !slices.Contains(d.PIDs(), pid) || !slices.Contains(d.Old(), pid) || len(d.Old()) != 0 {
		t.Errorf("process %d is not known, or replaced twice", pid)
	}
	if pss(pid) == 0 || Files(pid) == 0 || gone(pid) {
		t.Errorf("process %d: %d bytes, %d files, gone %v", pid, pss(pid), Files(pid), gone(pid))
	}
	if pss(os.Getpid()) == 0 {
		t.Error("this process takes no memory")
	}
	if err := endAll(); err != nil {
		t.Fatal(err)
	}
	if !AllGone([]int{pid}) || pss(pid) != 0 || Files(pid) != 0 {
		t.Errorf("process %d is not gone", pid)
	}
}

func TestNamesCanBeGivenOnACommandLine(t *testing.T) {
	seen := make(map[string]bool)
	for _, tool := range Tools() {
		name := strings.ReplaceAll(tool.Name, ",", "")
		if seen[name] || tool.How == "" || len(tool.Kinds) == 0 {
			t.Errorf("tool %q has no name of its own, or says nothing", tool.Name)
		}
		seen[name] = true
	}
}
