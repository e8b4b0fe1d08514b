package faults

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"text/tabwriter"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
)

// result is what a cell shows.
type result struct {
	clients string // what they saw
	told    string // what who asked for the upgrade was told
}

// matrixTable collects results. Its methods are safe for concurrent use.
type matrixTable struct {
	mu    sync.Mutex
	cells map[[2]string]result
}

func (m *matrixTable) add(step, fault string, r result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = make(map[[2]string]result)
	}
	m.cells[[2]string{step, fault}] = r
}

// String is the table of what clients saw, and below it what operators were told.
func (m *matrixTable) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	m.row(w, "step", func(fault string) string { return fault })
	m.row(w, "---", func(string) string { return "---" })
	for _, s := range matrixSteps {
		m.row(w, s.name, func(fault string) string { return m.cells[[2]string{s.name, fault}].clients })
	}
	_ = w.Flush()
	b.WriteString("\n")
	for _, f := range matrixFaults {
		for _, s := range matrixSteps {
			if told := m.cells[[2]string{s.name, f.name}].told; told != "" {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", f.name, s.name, told)
			}
		}
	}
	return b.String()
}

// row writes a line of Markdown.
func (m *matrixTable) row(w *tabwriter.Writer, first string, column func(fault string) string) {
	fmt.Fprintf(w, "| %s\t", first)
	for _, f := range matrixFaults {
		fmt.Fprintf(w, "| %s\t", column(f.name))
	}
	fmt.Fprintln(w, "|")
}

var (
	anyPID  = regexp.MustCompile(`\bpid([ =])\d+`)
	anyPath = regexp.MustCompile(`(/[\w.-]+)+/`)
	anyTemp = regexp.MustCompile(`\.new\.\w+`)
)

// words are what an operator reads, without what differs from run to run.
func words(a answer) string {
	if a.err == nil {
		return "upgraded"
	}
	text := a.err.Error()
	if failed := (*client.UpgradeError)(nil); errors.As(a.err, &failed) && failed.Remains() != "" {
		text += "; " + failed.Remains()
	}
	text = anyPID.ReplaceAllString(text, "pid${1}N")
	return anyTemp.ReplaceAllString(anyPath.ReplaceAllString(text, ""), ".new.N")
}
