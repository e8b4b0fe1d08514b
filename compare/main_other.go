//go:build !linux

package main

import "log"

func main() { log.Fatal("compare: it needs Linux, where /proc tells which processes there are") }
