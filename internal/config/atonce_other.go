//go:build !unix

package config

const atOnce = 0
