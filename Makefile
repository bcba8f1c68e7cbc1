# The first session of the README is `make run`; the second command is `make test`.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
DATA    ?= data
ROUNDS  ?= 1000
BUILD   := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Start the service on ./data, making it if it is not there
	bin/jeton serve --data $(DATA)

build: ## Build bin/jeton, one static binary
	CGO_ENABLED=0 go build $(BUILD) -o bin/jeton ./cmd/jeton

# Where SQLite runs under the race detector a test takes six times as long: of those two
# packages only what runs side by side does so each time, and all of it with make race.
SLOW   := ./projections ./http
ASIDE  := 'Two|Nodes|Race|Live|Watch|Follow|Connection|Report|Occurr|Deliver|Tail|Stream|Wait|Stop|Rebuild|Seal|Keeps|While'

test: ## Run all tests: real NATS, SQLite and PostgreSQL, race detector on where things run side by side
	go vet ./...
	go test -race -timeout 14m $$(go list ./... | grep -v -e /projections$$ -e /http$$)
	go test -timeout 14m $(SLOW)
	go test -race -timeout 14m -run $(ASIDE) $(SLOW)
	cd http/databaselabtest && go vet ./... && go test -race -timeout 10m ./...
	cd deployments/gitleakstest && go vet ./... && go test -timeout 10m ./...

race: ## Run everything with the race detector (about 20 minutes)
	go test -race -timeout 30m ./...

lint: ## Check formatting and vet
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...

bench: build ## Measure the promises of speed as ratios in one run (about 10 minutes)
	go run ./cmd/bench

crash: ## Kill -9 the server ROUNDS times (1000) while it works; nothing acknowledged may be lost
	go test -timeout 0 -count 1 -run TestKilled -v ./cmd/jeton -args -rounds $(ROUNDS)

fuzz: ## Fuzz what parses strangers' bytes, a minute each
	go test -fuzz FuzzParseSecret -fuzztime 60s ./domain
	go test -fuzz FuzzParseID -fuzztime 60s ./domain
	go test -fuzz FuzzPiece -fuzztime 60s ./domain
	go test -fuzz FuzzFacts -fuzztime 60s ./domain
	go test -fuzz FuzzScanningSignature -fuzztime 60s ./http
	go test -fuzz FuzzParseFindings -fuzztime 60s ./http

clean: ## Remove what was built; data stays
	rm -rf bin

.PHONY: help run build test race lint bench crash fuzz clean
