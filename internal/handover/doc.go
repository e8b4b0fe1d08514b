// Package handover carries live connections from a generation to its successor,
// over a socket pair made before the upgrade.
//
// The successor first says which keys it takes. Then every connection is one
// message: a header, the key, the state that the program gives along, and the
// socket itself (SCM_RIGHTS). The older generation keeps its own descriptor until
// the successor has answered, and goes on with the connection where the answer is
// no, or where the successor dies: nothing is ever between two processes.
//
// A generation that is replaced while it still receives passes the whole channel
// on, so that the generations before it go on moving connections to the newest.
package handover
