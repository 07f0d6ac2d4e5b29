# The two commands that a fresh machine needs are `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO      ?= go
TAGS    := netgo,osusergo,urfave_cli_no_docs
PINS    := $(shell . third_party/pins.sh; echo "-X main.llamaVersion=$$LLAMA_CPP_VERSION -X main.llamaCommit=$$LLAMA_CPP_COMMIT")
LDFLAGS := -s -w $(PINS) -linkmode external -extldflags "-static -Wl,--gc-sections -Wl,-z,noseparate-code"

# The folder of llama.cpp's headers and archives, in the cache outside the
# checkout. Its name holds version and flags, so another version is another
# key for Go's build cache.
NATIVE = $(eval NATIVE := $$(shell third_party/llama.sh))$(NATIVE)
MODEL  = $(eval MODEL := $$(shell third_party/model.sh))$(MODEL)
native_env = CGO_CFLAGS="-O3 -I$(NATIVE)/include" CGO_CXXFLAGS="-O2 -std=c++17 -I$(NATIVE)/include" CGO_LDFLAGS="-L$(NATIVE)/lib"

# The same for the CUDA build: its folder holds llama.cpp's backend, our kernels and the static runtime. The
# file is dynamic, as the runtime opens the driver with dlopen, but against the C library alone.
CUDA_NATIVE = $(eval CUDA_NATIVE := $$(shell CUDA_ARCHS="$(CUDA_ARCHS)" CUBLAS="$(CUBLAS)" third_party/cuda-native.sh))$(CUDA_NATIVE)
CUDA_LDFLAGS := -s -w $(PINS) -linkmode external -extldflags "-static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,-z,noseparate-code"
cuda_env = CGO_CFLAGS="-O3 -I$(NATIVE)/include" CGO_CXXFLAGS="-O2 -std=c++17 -I$(NATIVE)/include -I$(CUDA_NATIVE)/include" CGO_LDFLAGS="-L$(NATIVE)/lib -L$(CUDA_NATIVE)/lib"

# Packages without native code: what the race detector watches.
pure = ./store/... ./llama/gguf/... ./lora/eval/... ./lora/preference/... ./lora/ref/... ./appliance/feedback/... ./appliance/masking/... \
	./appliance/openai/... ./appliance/fault/... ./appliance/estimate/encodings/...

.PHONY: build
build: bin/cloister ## builds bin/cloister, one static file

.PHONY: bin/cloister
bin/cloister: doctor-quiet
	@test -d "$(NATIVE)" || { echo "the native build failed; see above" >&2; exit 1; }
	@$(native_env) $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $@ ./cmd/cloister
	@! ldd $@ >/dev/null 2>&1 || { echo "bin/cloister is not a static file" >&2; exit 1; }

.PHONY: demo
demo: build ## the main job on a real model: a clinic's CSV becomes a tuned model that answers
	@MODEL="$(MODEL)" cmd/cloister/testdata/demo/demo.sh bin/cloister

.PHONY: test
test: build lint cu ## everything: lint, all tests with the real model, race detector, the Python clients
	$(native_env) CLOISTER_TEST_MODEL="$(MODEL)" \
		CLOISTER_PYTHON_OPENAI3="$$(. third_party/pins.sh; third_party/venv.sh openai3 $$OPENAI_3)" \
		CLOISTER_PYTHON_OPENAI028="$$(. third_party/pins.sh; third_party/venv.sh openai028 $$OPENAI_028)" \
		$(GO) test -p 1 -timeout 30m ./...
	$(native_env) CLOISTER_TEST_MODEL="$(MODEL)" $(GO) test -race -timeout 20m $(pure)
	$(native_env) $(GO) test -tags cudaemu -run CUDA ./lora/internal/native
	$(native_env) $(GO) test -tags cudaemu -short -run 'Card|Offload|PlanIsUse|ArchitectureReference|Noise|Weighted|Distill|TopK' ./lora/model
	$(native_env) $(GO) test -tags cudaemu -short -run 'Card|OtherDevice|CurveAgainst' ./lora/train

.PHONY: test-emulated
test-emulated: doctor-quiet ## all of the trainer's tests on the emulation of CUDA, of which make test runs some; half an hour
	$(native_env) CLOISTER_TEST_MODEL="$(MODEL)" $(GO) test -tags cudaemu -short -count 1 -timeout 90m -skip 'Parity|SmolLM2|Gemma$$' ./lora/internal/native ./lora/model ./lora/train

.PHONY: cu
cu: doctor-quiet ## compiles our own CUDA files for one card's architecture, or those of CUDA_ARCHS; what did not change costs no time
	@third_party/cu.sh >/dev/null

.PHONY: cuda
cuda: doctor-quiet ## builds bin/cloister-cuda, for NVIDIA's cards: CUDA_ARCHS, CUDA_HOME and CUBLAS as third_party/cuda-native.sh says
	@test -d "$(NATIVE)" && test -d "$(CUDA_NATIVE)" || { echo "the native build failed; see above" >&2; exit 1; }
	@$(cuda_env) $(GO) build -trimpath -tags $(TAGS),cuda -ldflags '$(CUDA_LDFLAGS)' -o bin/cloister-cuda ./cmd/cloister
	@third_party/cuda-check.sh bin/cloister-cuda

# The packages whose tests look at a card.
cuda_tests = lora/internal/native lora/model lora/train llama appliance/engine

.PHONY: test-cuda
test-cuda: cuda ## on a machine with a card and Go: our products, the kernels, the trainer, llama.cpp's backend and the engine
	@bin/cloister-cuda doctor | grep -q '^ok *card ' || { bin/cloister-cuda doctor | grep ' cuda ' >&2; echo "no card: nothing was tested" >&2; exit 1; }
	third_party/cu.sh --program third_party/cublas/test.cu bin/cublas-test && bin/cublas-test
	$(cuda_env) CLOISTER_TEST_MODEL="$(MODEL)" CLOISTER_TEST_DEVICE=cuda $(GO) test -tags $(TAGS),cuda -p 1 -count 1 -timeout 30m $(cuda_tests:%=./%)

# One card, and tests that need no real model: more would not travel. With llama-server there is room for the kernels' alone:
# LLAMA_SERVER=1 make cuda-carry carry_tests=lora/internal/native
carry_tests = lora/internal/native lora/model lora/train
cuda-carry: CUDA_ARCHS = 90-real;90-virtual
.PHONY: cuda-carry
cuda-carry: cuda ## packs bin/cloister-cuda and compiled tests for third_party/cuda-run.sh on a machine without Go; LLAMA_SERVER=1 adds llama-server
	@CUDA_ARCHS="$(CUDA_ARCHS)" $(cuda_env) third_party/cuda-carry.sh '$(CUDA_LDFLAGS)' $(carry_tests)

.PHONY: gemma
gemma: doctor-quiet ## the trainer on gemma-3-270m, whose terms need accepting: GEMMA_TERMS=accepted make gemma
	@file=$$(third_party/gemma.sh) && $(native_env) CLOISTER_TEST_GEMMA="$$file" $(GO) test -count=1 -v -timeout 30m ./lora/model -run 'Gemma$$'

.PHONY: oracle
oracle: doctor-quiet ## gradients, loss curves, adapters and logits against PyTorch, PEFT and TRL, live; KEEP=1 renews the fixtures of make test
	@$(native_env) CLOISTER_TEST_MODEL="$(MODEL)" CLOISTER_ORACLE_KEEP="$(KEEP)" \
		CLOISTER_ORACLE_PYTHON="$$(. third_party/pins.sh; third_party/venv.sh oracle $$ORACLE)" \
		$(GO) test ./lora/internal/native ./lora/train -v -count 1 -timeout 60m -run 'TestOracle|TestParity' | grep -vE "^=== "

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l appliance cmd llama lora store); test -z "$$bad" || { echo "gofmt these: $$bad" >&2; exit 1; }
	@$(native_env) $(GO) vet ./...
	@$(native_env) $(GO) tool staticcheck ./...

.PHONY: doctor
doctor: ## checks that this machine has the tools and says what to install
	@third_party/doctor.sh

.PHONY: doctor-quiet
doctor-quiet:
	@third_party/doctor.sh >/dev/null || third_party/doctor.sh

.PHONY: fuzz
fuzz: ## each fuzzer for half a minute
	@$(native_env) third_party/fuzz.sh 30s

.PHONY: clean-native
clean-native: ## removes the native build from the cache
	rm -rf "$${CLOISTER_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/cloister-build}"/native-* third_party/native

.PHONY: env
env: ## prints what go commands need for another native build: eval "$$(make -s env)"
	@echo 'export $(native_env) CLOISTER_TEST_MODEL="$(MODEL)"'

.PHONY: help
help: ## lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
