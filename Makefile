# The two commands that a fresh machine needs are `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := build

GO       ?= go
TAGS     := netgo,osusergo
LDFLAGS  := -s -w -linkmode external -extldflags "-static"
NATIVE    = $(shell third_party/llama.sh)
MODEL     = $(shell third_party/model.sh)

# Archives in one link group: they refer to each other in circles.
export CGO_CFLAGS   = -O3 -I$(NATIVE)/include
export CGO_CXXFLAGS = -O2 -std=c++17 -I$(NATIVE)/include
export CGO_LDFLAGS  = -L$(NATIVE)/lib

.PHONY: help
help: ## lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: build
build: bin/cloister ## builds bin/cloister, one static file

.PHONY: bin/cloister
bin/cloister:
	@$(GO) build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $@ ./cmd/cloister
	@if ldd $@ >/dev/null 2>&1; then echo "bin/cloister is not static" >&2; exit 1; fi

.PHONY: env
env: ## prints the environment that go commands need for the native packages: eval "$$(make -s env)"
	@printf 'export CGO_CFLAGS="%s"\nexport CGO_CXXFLAGS="%s"\nexport CGO_LDFLAGS="%s"\nexport CLOISTER_TEST_MODEL="%s"\n' \
		'$(CGO_CFLAGS)' '$(CGO_CXXFLAGS)' '$(CGO_LDFLAGS)' '$(MODEL)'
