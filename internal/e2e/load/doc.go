// Package load tests upgrades under constant load, in each mode and on each kind of
// socket: no client notices anything. It has no code but tests.
package load
