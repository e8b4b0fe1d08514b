package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// Whoever has the lock, and serves, can be upgraded. Somebody who only ends cannot.
func TestAdviceOfASecondStart(t *testing.T) {
	const advice = ": -s reload upgrades it"
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("lock: %w", &process.RunningError{PIDFile: "x.pid", PID: 7}), true},
		{&process.RunningError{PIDFile: "x.pid"}, false},
		{errors.New("no space left"), false},
		{nil, false},
	} {
		got := adviseReload(tt.err)
		if !errors.Is(got, tt.err) || strings.HasSuffix(fmt.Sprint(got), advice) != tt.want {
			t.Errorf("adviseReload(%v) = %v", tt.err, got)
		}
	}
}
