// Package systemd tests the units of examples/deploy/systemd with a real systemd: this machine's
// own, and Debian 13's. It has no code of its own.
package systemd
