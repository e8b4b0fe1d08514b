// Package endurance tests daemons that are upgraded without a rest under clients of
// every kind: the storms and the soak. It has no code but tests.
package endurance
