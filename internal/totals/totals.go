// Package totals has the counters of connections that all generations of a daemon share: they go on from generation 1, and what a process has
// counted does not end with it. They are in memory that has a descriptor, which passes from generation to generation.
//
// Every process of the daemon's user could write nonsense into them. Nothing but metrics comes from them.
package totals

import (
	"os"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// The table is a row with the form, and then one for each group that there has ever been. Rows are never freed: generations that drain count in
// theirs.
const (
	form     = "gozd totals 1" // another one is another table
	rowSize  = 128             // a name and its NULs, and the counters
	nameSize = 64              // the longest name of a group
	rows     = 1024
	size     = rows * rowSize
)

// Table is safe for concurrent use. Only one process at a time may call Of with new names, which is the one that starts.
type Table struct {
	file *os.File // nil where there is no such memory
	mem  []byte

	mu      sync.Mutex
	private map[string]*listener.Totals // of groups without a row
}

// Open takes over the memory of the generation before this one, or makes new one if f is nil or of another form. Without any, as on a platform that
// has none, the counters are this process's own.
func Open(f *os.File) *Table {
	t := &Table{private: make(map[string]*listener.Totals)}
	if f != nil && t.attach(f) && string(t.row(0)[:len(form)]) == form {
		return t
	}
	t.detach()
	if f, err := newMemory(size); err == nil && t.attach(f) {
		copy(t.row(0), form)
	}
	return t
}

// attach reports whether it has mapped the memory of f, which it takes over.
func (t *Table) attach(f *os.File) bool {
	mem, err := mapMemory(f, size)
	if err != nil {
		_ = f.Close()
		return false
	}
	t.file, t.mem = f, mem
	return true
}

func (t *Table) detach() {
	if t.file != nil {
		unmapMemory(t.mem)
		_ = t.file.Close()
		t.file, t.mem = nil, nil
	}
}

// File is to be passed to the next generation; nil where there is none. It stays the Table's.
func (t *Table) File() *os.File { return t.file }

func (t *Table) row(i int) []byte { return t.mem[i*rowSize : (i+1)*rowSize] }

// Of returns the counters of a group.
func (t *Table) Of(group string) *listener.Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mem != nil && len(group) <= nameSize {
		for i := 1; i < rows; i++ {
			row := t.row(i)
			name := trimNUL(row[:nameSize])
			if name == "" {
				copy(row, group)
				name = group
			}
			if name == group {
				return counters(row[nameSize:])
			}
		}
	}
	if t.private[group] == nil {
		t.private[group] = new(listener.Totals)
	}
	return t.private[group]
}

func trimNUL(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
