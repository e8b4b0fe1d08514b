//go:build unix

package upgrade

import (
	"testing"
	"time"
)

// The question reaches the successor, and the end says that the outcome is known.
func TestAskWhy(t *testing.T) {
	t.Parallel()
	d, theirs, err := newDialogue(false)
	if err != nil {
		t.Fatal(err)
	}
	p := &parent{knows: make(chan struct{}), late: make(chan struct{}), manifest: Manifest{Timeout: time.Minute}}
	go p.watch(theirs[fileAsk])
	d.askWhy()
	select {
	case <-p.late:
	case <-time.After(30 * time.Second):
		t.Error("the successor does not hear that it is asked")
	}
	d.end()
	<-p.knows
	_, _ = theirs[fileReport].Close(), d.reports.Close()
}
