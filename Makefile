# What each of these does is said in .ci/run, or is one command of Go's.

.PHONY: test lint fuzz bench demo fmt vet ci

test:
	go test -race -shuffle=on -count=2 ./...

lint fuzz demo vet:
	.ci/run $@

bench:
	go test -run '^$$' -bench . -benchmem ./...

fmt:
	gofmt -w .

ci:
	.ci/run
