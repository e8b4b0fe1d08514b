package main

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What never returns keeps nothing else from its answer.
func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		do := func(n int) int {
			if n == 1 {
				<-stuck
			}
			return n * 10
		}
		got := each(ctx, []int{1, 2, 3}, do, func(n int) int { return -n })
		if !slices.Equal(got, []int{-1, 20, 30}) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), got)
		}
	})
}
