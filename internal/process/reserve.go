package process

import (
	"os"
	"sync"
)

// Reserve holds descriptors for a process whose clients may take all others. An
// upgrade needs some, also to say that it has failed, and a daemon that has none left could not
// even be given a higher limit. Its methods are safe for concurrent use. The zero value holds none.
type Reserve struct {
	mu    sync.Mutex // guards files
	files []*os.File
}

// Fill holds n descriptors, but no more than it leaves for others, and as many as
// it gets.
func (r *Reserve) Fill(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	low := maxFiles() < n
	for n = min(n, maxFiles()/2); len(r.files) < n; {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		r.files = append(r.files, f)
	}
	// Under a low limit most descriptors are in use already. Clients that are never accepted would be worse than
	// an upgrade that fails.
	for last := len(r.files) - 1; low && last >= 0 && Scarce(last+1); last-- {
		_ = r.files[last].Close()
		r.files = r.files[:last]
	}
}

// Release gives all of them back.
func (r *Reserve) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.files {
		_ = f.Close()
	}
	r.files = nil
}

// Scarce reports whether fewer than n descriptors are free. Where the highest that there can
// be are in use, it takes n for a moment: their numbers would not say how many lower ones are
// free, and a look into /proc takes time for each that is open.
func Scarce(n int) bool {
	if highestAreFree(n) {
		return false
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		return n > 0
	}
	defer func() { _ = f.Close() }()
	return duplicates(f, n-1) < n-1
}
