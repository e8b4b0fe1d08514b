module bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/programs/endless

go 1.25.0

require (
	bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app v0.0.0
	github.com/fvbock/endless v0.0.0-20170109170031-447134032cb6
)

// The version is the one that is measured. There is no go.sum: compare builds this
// with one in its working directory, and leaves the tool out where it cannot be had.
replace bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app => ../../app
