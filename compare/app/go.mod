module bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app

go 1.25.0
