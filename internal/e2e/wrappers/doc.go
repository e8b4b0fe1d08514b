// Package wrappers has tests of listeners that other libraries put around gozd's: limits, the PROXY protocol, multiplexers,
// TLS. It is a module of its own, so that gozd does not require those libraries.
package wrappers
