# What each of these does is said in .ci/run, or is one command of Go's.

.PHONY: short test soak lint fuzz bench demo site fmt vet man ci

short:
	go test -short ./...

test:
	go test -race -shuffle=on -timeout 30m ./...

soak:
	GOZD_SOAK=10m go test -race -count=1 -timeout 20m -v -run '^TestSoak$$' ./internal/e2e/endurance

lint fuzz bench demo site vet:
	.ci/run $@

fmt:
	gofmt -w .

# Into bin, which git ignores: they are made from the commands, and belong to a version of them.
man:
	go run ./cmd/gozdctl man bin/man docs/configuration.md

ci:
	.ci/run
