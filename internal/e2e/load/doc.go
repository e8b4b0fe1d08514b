// Package load tests upgrades under constant load, in each mode and on each kind of
// socket: twenty of them, and no client notices anything. It has no code but tests.
package load
