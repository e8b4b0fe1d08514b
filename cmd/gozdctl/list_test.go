package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// A directory in which others make files without end is read for as long as there is time.
func TestListedInTime(t *testing.T) {
	dir := t.TempDir()
	const all = 1000
	for n := range all {
		if err := os.Mkdir(filepath.Join(dir, strconv.Itoa(n)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	if err := inPieces(ctx, dir, func(fs.DirEntry) { seen++ }); err != nil || seen != all {
		t.Errorf("%d of %d are seen, %v", seen, all, err)
	}
	seen = 0
	err := inPieces(ctx, dir, func(fs.DirEntry) { cancel(); seen++ })
	if statusOf(err) != statusUnknown || seen >= all {
		t.Errorf("without time, %d of %d are seen, %v", seen, all, err)
	}
	if err := inPieces(t.Context(), filepath.Join(dir, "none"), func(fs.DirEntry) {}); err != nil {
		t.Errorf("of none: %v", err)
	}
}
