// Package trust tests the boundaries of docs/security.md with real users: root starts daemons, their
// user and a third one attack. It has no code of its own.
package trust
