// Package e2e has the tests with real processes: daemons are started, upgraded
// and stopped under real load, and the clients never retry. It has no code but
// tests.
package e2e
