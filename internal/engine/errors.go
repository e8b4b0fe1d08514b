package engine

import (
	"errors"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// The errors of package gozd, which has their contracts.
var (
	ErrUnknownGroup = groups.ErrUnknown
	ErrGroupInUse   = groups.ErrInUse
	ErrMode         = groups.ErrMode
	ErrNotServing   = errors.New("gozd: this generation does not serve")
	ErrNotSupported = upgrade.ErrNotSupported
	ErrWatched      = errors.New("this process is watched, and the service would end with it")
	ErrNoProbation  = errors.New("gozd: no upgrade is on probation")

	// ErrReplaced is the cause of the end of what the program does while its generation serves.
	ErrReplaced = errors.New("gozd: this generation has been replaced")

	// ErrOnlyInUse is returned for the name of an earlier call.
	ErrOnlyInUse = errors.New("gozd: Only has been called with this name")

	// ErrSecond is returned to a program that makes an Engine in a process that has had one.
	ErrSecond = errors.New("gozd: this process has made a Daemon before: Daemonize or New is called once")

	// ErrPrinted stands for an error that has been told to whoever is to know.
	ErrPrinted = errors.New("printed")
)
