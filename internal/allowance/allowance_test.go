package allowance_test

import (
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/allowance"
)

func TestAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		a := allowance.New(3500*time.Millisecond, time.Second)
		for !a.IsOver() {
			time.Sleep(a.Next())
		}
		if took := time.Since(began); took != 3500*time.Millisecond {
			t.Errorf("it was over after %v", took)
		}
		if a.Next() != 0 {
			t.Errorf("Next = %v", a.Next())
		}
		a.Extend(time.Second)
		if a.Extend(time.Millisecond); a.IsOver() || a.Next() != time.Second {
			t.Errorf("Next = %v after Extend", a.Next())
		}
	})
}

// An hour in which nobody looks is a step.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := allowance.New(3*time.Second, time.Second)
		for range 2 {
			time.Sleep(time.Hour)
			if a.IsOver() {
				t.Fatal("it is over")
			}
		}
		if time.Sleep(time.Second); !a.IsOver() {
			t.Errorf("%v are left", a.Next())
		}
	})
}
