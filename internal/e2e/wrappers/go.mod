module bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/e2e/wrappers

go 1.25.0

require (
	bitbucket.org/PinIdea/go-zero-downtime-daemon v0.0.0
	github.com/pires/go-proxyproto v0.8.1
	github.com/soheilhy/cmux v0.1.5
	golang.org/x/net v0.58.0
)

require (
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

// The module is tested as it lies here. It is one of its own so that gozd needs none of these.
replace bitbucket.org/PinIdea/go-zero-downtime-daemon => ../../..
