package main

// The formats of configurations besides the native one: gozdctl is for the daemons of any program.
import (
	_ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/json"
	_ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/toml"
	_ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/yaml"
)
