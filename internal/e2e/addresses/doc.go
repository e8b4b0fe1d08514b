// Package addresses tests addresses that change at an upgrade, socket files and their
// owners, and the last clients of an address. It has no code but tests.
package addresses
