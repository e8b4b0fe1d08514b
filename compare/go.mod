module bitbucket.org/PinIdea/go-zero-downtime-daemon/compare

go 1.25.0

require (
	bitbucket.org/PinIdea/go-zero-downtime-daemon v0.0.0
	bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app v0.0.0
	github.com/cloudflare/tableflip v1.2.3
	golang.org/x/sys v0.47.0
)

require (
	github.com/coreos/go-systemd/v22 v22.6.0 // indirect
	github.com/go-viper/mapstructure/v2 v2.4.0 // indirect
	github.com/hashicorp/go-envparse v0.1.0 // indirect
	github.com/knadh/koanf/maps v0.1.2 // indirect
	github.com/knadh/koanf/providers/env/v2 v2.0.2 // indirect
	github.com/knadh/koanf/v2 v2.4.1 // indirect
	github.com/mitchellh/copystructure v1.2.0 // indirect
	github.com/mitchellh/reflectwalk v1.0.2 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

// The module is built as it lies here. It is one of its own so that gozd needs none
// of what it is compared with.
replace (
	bitbucket.org/PinIdea/go-zero-downtime-daemon => ../
	bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app => ./app
)
