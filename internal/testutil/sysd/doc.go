// Package sysd boots a real systemd for tests: as PID 1 of namespaces that are gone
// afterwards, on this machine's own file system or on one that mmdebstrap has made.
// It needs root, cgroup2 and util-linux.
package sysd
