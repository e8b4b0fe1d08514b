module bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/e2e/h2spec

go 1.25.0

require (
	bitbucket.org/PinIdea/go-zero-downtime-daemon v0.0.0
	github.com/summerwind/h2spec v2.2.1+incompatible
	golang.org/x/net v0.58.0
)

require (
	github.com/fatih/color v1.19.0 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

// The module is tested as it lies here. It is one of its own so that gozd needs none of these.
replace bitbucket.org/PinIdea/go-zero-downtime-daemon => ../../..
