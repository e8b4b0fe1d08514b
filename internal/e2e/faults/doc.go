// Package faults tests upgrades that go wrong: binaries that cannot be started or fail,
// probations that are not passed, and whatever can happen to either process at every
// step. It has no code but tests.
package faults
