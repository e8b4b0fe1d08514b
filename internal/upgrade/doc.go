// Package upgrade starts a process's successor and passes its sockets on. It is
// the only importer of github.com/cloudflare/tableflip, and adds four things
// to it:
//
//   - Listeners are inherited by group, with the address that each was asked
//     for, not by address.
//   - Any number of generations may live at once. tableflip waits for the end of
//     its parent before it upgrades again; see relay.go.
//   - A [Manifest], with a payload of the caller's, and files travel from parent to child, and a report of why
//     the child failed travels back; see bootstrap_unix.go.
//   - Nothing of it reaches the processes that the program itself starts: the
//     environment variable is removed, and no descriptor outlives exec.
//
// Where tableflip does not work, Upgrade returns [ErrNotSupported] and all else
// behaves as in a first generation.
package upgrade
