//go:build !unix

package main

import "errors"

func reapAll(string) (string, error) { return "", errors.ErrUnsupported }
