//go:build !unix

package cfg

const atOnce = 0
