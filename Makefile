# Every target of this project. `make help` lists them.

GO         ?= go
BIN        := bin
TOOLS      := $(CURDIR)/$(BIN)/tools
DEMO_DIR   ?= runs/demo
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS    := -s -w -X autoresearch/internal/cli.version=$(VERSION)
FUZZTIME   ?= 10s
SIM_STEPS  ?= 20000000
SIM_FIRST  ?= 1
CHAOS_MINUTES ?= 30
CHAOS_SEEDS   ?= 1 2 3 4 5 6
LINT       := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULN       := golang.org/x/vuln/cmd/govulncheck@v1.9.0
KUSTOMIZE  := sigs.k8s.io/kustomize/kustomize/v5@v5.8.1
KUBECONFORM := github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
CYCLONEDX  := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0
IMAGE_TAG  ?= dev
ARCH       ?= $(shell $(GO) env GOARCH)

.DEFAULT_GOAL := help
.PHONY: help demo judge build test browser-test pictures race-ten lint sim mutants chaos bench bench-peers fuzz vuln images k8s-check container-test k8s-test clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## Search a language model's parameters on a real book, in under 3 minutes (DEMO_DIR=runs/demo)
	$(GO) build -o examples/charlm/charlm ./examples/charlm
	$(BIN)/autoresearch engine --workflow examples/charlm/workflow.yaml --workdir $(DEMO_DIR)
	@echo
	@echo "report:   $(DEMO_DIR)/report.md"
	@echo "pictures: $(DEMO_DIR)/progress.png  $(DEMO_DIR)/hypothesis_tree.png"

judge: ## Score what the demo found on the test split that it never saw
	$(GO) run ./examples/charlm/judge $(DEMO_DIR)

build: ## Build the three programs into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

test: ## Run every test with the race detector
	$(GO) test -race -timeout 5m ./...

browser-test: ## Test the dashboard in chromium, installed on Debian when root; skipped where there is none
	test/browser/install.sh
	cd test/browser && $(GO) test -count 1 -timeout 10m -v .

pictures: ## Take the pictures of the dashboard in docs/pictures anew, from the demo
	test/browser/install.sh
	cd test/browser && $(GO) test -count 1 -timeout 15m -run TestPictures . -pictures $(CURDIR)/docs/pictures

race-ten: ## Run every test ten times in a row
	$(GO) test -race -count 10 -timeout 45m ./...

lint: $(TOOLS)/golangci-lint ## Check format, vet and the linters of .golangci.yml
	@test -z "$$(gofmt -l bench cmd internal pkg examples test)" || { gofmt -l bench cmd internal pkg examples test; exit 1; }
	$(TOOLS)/golangci-lint run ./...
	cd bench/peers && $(TOOLS)/golangci-lint run ./...
	cd test/browser && $(TOOLS)/golangci-lint run ./...
	cd test/k8s && $(TOOLS)/golangci-lint run .

$(TOOLS)/golangci-lint:
	GOBIN=$(TOOLS) $(GO) install $(LINT)

sim: ## Play histories on a modelled JetStream until 20 million steps were checked (SIM_STEPS, SIM_FIRST: the first seed)
	$(GO) test ./pkg/coordinator -count 1 -v -timeout 60m -run 'TestSim$$' -sim.steps=$(SIM_STEPS) -sim.first=$(SIM_FIRST)

mutants: ## Break the protocol on purpose, one patch at a time, and see that the simulator notices
	test/mutants/run.sh

chaos: ## Break real programs and a NATS cluster of three for CHAOS_MINUTES, shared by CHAOS_SEEDS
	test/chaos/run.sh $(CHAOS_MINUTES) $(CHAOS_SEEDS)

bench: build ## Measure everything on this machine, beside raw JetStream, in under 20 minutes (BENCH='--quick')
	$(BIN)/autoresearch bench $(BENCH)

bench-peers: build ## Measure asynq on Redis and River on PostgreSQL beside this, installed on Debian when root (PEERS='-o json')
	bench/peers/install.sh
	cd bench/peers && $(GO) build -o $(CURDIR)/$(BIN)/peers . && $(GO) test ./...
	$(BIN)/peers -engine $(BIN)/autoresearch $(PEERS)

fuzz: ## Fuzz every decoder and encoder, each for FUZZTIME (default 10s)
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$package || exit 1; \
		done; \
	done

images: $(TOOLS)/cyclonedx-gomod ## Build the images FROM scratch, with docker or buildah (IMAGE_TAG=dev, ARCH='amd64 arm64')
	VERSION=$(VERSION) ARCH='$(ARCH)' deploy/images/build.sh $(IMAGE_TAG)

$(TOOLS)/cyclonedx-gomod:
	GOBIN=$(TOOLS) $(GO) install $(CYCLONEDX)

k8s-check: $(TOOLS)/kustomize $(TOOLS)/kubeconform ## Check what is deployed, without a cluster: every overlay, NATS's configuration, alerts
	test/manifests/schemas.sh $(TOOLS)/schemas
	@command -v prometheus >/dev/null || echo "SKIPPED the alerts and the dashboard: there is no prometheus (Debian has a package)"
	$(GO) test -count 1 ./test/manifests -tools $(TOOLS)

$(TOOLS)/kustomize:
	GOBIN=$(TOOLS) $(GO) install $(KUSTOMIZE)

$(TOOLS)/kubeconform:
	GOBIN=$(TOOLS) $(GO) install $(KUBECONFORM)

vuln: $(TOOLS)/govulncheck ## Look for known vulnerabilities in what the programs call, where the database can be reached
	test/vuln.sh $(TOOLS)/govulncheck

$(TOOLS)/govulncheck:
	GOBIN=$(TOOLS) $(GO) install $(VULN)

container-test: export STORAGE_DRIVER = vfs
container-test: images $(TOOLS)/kustomize ## Play the images with podman as the overlay dev says: a search, a drain, a failover (as root)
	@command -v podman >/dev/null || { echo "it needs podman: apt-get install --no-install-recommends buildah podman runc catatonit containernetworking-plugins iptables"; exit 1; }
	$(GO) test -count 1 -v -timeout 15m ./test/manifests -run ContainersSearch -tools $(TOOLS) -containers $(CURDIR)/$(BIN)/images/$$($(GO) env GOARCH)

k8s-test: $(TOOLS)/kustomize ## Apply the overlays to a real API server with fake nodes (its first build takes ten minutes)
	cd test/k8s && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2' -o $(TOOLS)/ ./kube
	cd test/k8s && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(TOOLS)/ sigs.k8s.io/kwok/cmd/kwok
	cd test/k8s && $(GO) test -count 1 -v -timeout 20m . -tools $(TOOLS)

clean: ## Remove what was built
	rm -rf $(BIN) examples/charlm/charlm
