# All that is done with the project, one target each; `make` lists them. A
# machine needs Go, a C compiler, and Python with pip, or npm. What is fetched
# goes to the cache, outside git.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/agequote

# Versions of the tools that the tests and checks run; those of the template's
# are in infra/requirements.txt.
GOTESTSUM_VERSION := v1.13.0
STATICCHECK_VERSION := v0.8.2
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
GOVULNCHECK_VERSION := v1.9.0
CYCLONEDX_VERSION := v1.9.0

GOTESTSUM := $(CACHE)/tools/gotestsum-$(GOTESTSUM_VERSION)/gotestsum
STATICCHECK := $(CACHE)/tools/staticcheck-$(STATICCHECK_VERSION)/staticcheck
BENCHSTAT := $(CACHE)/tools/benchstat-$(BENCHSTAT_VERSION)/benchstat
GOVULNCHECK := $(CACHE)/tools/govulncheck-$(GOVULNCHECK_VERSION)/govulncheck
CYCLONEDX := $(CACHE)/tools/cyclonedx-gomod-$(CYCLONEDX_VERSION)/cyclonedx-gomod
VENV := $(CACHE)/venv
CHECKOV := $(CACHE)/venv-checkov
TORCH := $(CACHE)/venv-torch
BENCH_ONNX := $(CACHE)/venv-bench-onnx
BENCH_TORCH := $(CACHE)/venv-bench-torch
BENCH_SMALLER := $(CACHE)/venv-bench-smaller
MOTO := $(CACHE)/venv-moto
SCHEMATHESIS := $(CACHE)/venv-schemathesis/bin/schemathesis
PYMORT := $(CACHE)/venv-pymort
BENCH_PYTHON := $(CACHE)/venv-bench

SHA256 := $(shell command -v sha256sum >/dev/null && echo sha256sum || echo shasum -a 256)

# CODE_HASH names the code in every stored object. It is taken from the content
# of what is compiled in, so it is the same in a clone, in a copy without .git
# and in CI.
CODE_HASH = sha256:$(shell find . \
	\( -path ./.git -o -path ./.aws-sam -o -path ./bin -o -path ./build -o -name testdata \) -prune -o \
	-type f \( -name '*.go' ! -name '*_test.go' -o -path './rules/*' -o -path './internal/onboard/*' ! -name '*_test.go' -o -path './internal/batch/*.html' -o -path './internal/review/*' ! -name '*_test.go' -o -path './internal/gate/*.yaml' -o -name go.mod -o -name go.sum \) -print | \
	LC_ALL=C sort | xargs $(SHA256) | $(SHA256) | cut -d ' ' -f 1)
SET_CODE = -X github.com/agequote/agequote/internal/version.Code=$(CODE_HASH)

HOST := $(shell go env GOHOSTOS)-$(shell go env GOHOSTARCH)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# ---- Building ----------------------------------------------------------------

.PHONY: build
build: onnxruntime functions ## build bin/agequote, and the functions for this machine
	CGO_ENABLED=1 go build -trimpath -ldflags '$(SET_CODE)' -o bin/agequote ./cmd/agequote

.PHONY: train-build
train-build: ## build bin/training, as the training image has it
	@mkdir -p bin
	CGO_ENABLED=1 go build -trimpath -buildvcs=false -ldflags '$(SET_CODE)' -o bin/training ./training

FUNCTIONS := PredictFunction QuoteFunction FailedFunction OnboardFunction ReportFunction ReviewFunction

.PHONY: functions $(FUNCTIONS)
functions: $(FUNCTIONS) ## build the functions for this machine, into build/<function in template.yaml>/

$(FUNCTIONS):
	@$(MAKE) build-$@ ARTIFACTS_DIR='$(CURDIR)/build/$@' TARGET=$(HOST)

# `sam build` calls these, with ARTIFACTS_DIR set, for the system that
# Lambda runs them on.
TARGET ?= linux-amd64
target_words = $(subst -, ,$(TARGET))

# $(call bootstrap,FOLDER,CGO_ENABLED) builds a function's program.
bootstrap = CGO_ENABLED=$(2) GOOS=$(word 1,$(target_words)) GOARCH=$(word 2,$(target_words)) \
	go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags '-s -w $(SET_CODE)' \
	-o '$(ARTIFACTS_DIR)/bootstrap' ./functions/$(1)

# predict alone has C in it, so another system's needs another C compiler.
other_system = $(filter-out $(HOST),$(TARGET))
default_compiler = $(filter default,$(origin CC))
define need_compiler
predict for $(TARGET) needs a C compiler for it, for instance CC='zig cc -target x86_64-linux-gnu.2.34' (Lambda has glibc 2.34)
endef

.PHONY: build-PredictFunction build-QuoteFunction build-FailedFunction build-OnboardFunction build-ReportFunction build-ReviewFunction
build-PredictFunction:
	$(if $(and $(other_system),$(default_compiler)),$(error $(need_compiler)))
	$(call bootstrap,predict,1)
	@rm -rf '$(ARTIFACTS_DIR)/lib' '$(ARTIFACTS_DIR)/models'
	@mkdir -p '$(ARTIFACTS_DIR)/lib' '$(ARTIFACTS_DIR)/models'
	@library=$$(infra/onnxruntime.sh $(TARGET)) && cp "$$library" '$(ARTIFACTS_DIR)/lib/'
	@cp models/* '$(ARTIFACTS_DIR)/models/' # every file that the manifest names

build-QuoteFunction:
	$(call bootstrap,quote,0)

build-FailedFunction:
	$(call bootstrap,failed,0)

build-OnboardFunction:
	$(call bootstrap,onboard,0)

build-ReportFunction:
	$(call bootstrap,report,0)

build-ReviewFunction:
	$(call bootstrap,review,0)

.PHONY: onnxruntime
onnxruntime: ## fetch ONNX Runtime into the cache, checked by hash
	@infra/onnxruntime.sh >/dev/null

.PHONY: pjrt
pjrt: ## fetch XLA's plugin for the CPU into the cache, checked by hash (linux amd64)
	@infra/pjrt.sh >/dev/null

.PHONY: backbone
backbone: ## fetch the face network that training begins with into the cache, checked by hash
	@infra/backbone.sh >/dev/null

# What training needs. Where GOMLX_BACKEND names a plugin, that one is taken; off
# linux amd64 there is none to fetch.
.PHONY: train-parts
train-parts: onnxruntime backbone $(if $(or $(GOMLX_BACKEND),$(filter-out linux-amd64,$(HOST))),,pjrt)

# ---- Running -----------------------------------------------------------------

.PHONY: demo
demo: build ## send a selfie through the local stack; another one with PHOTO=file
	bin/agequote demo $(if $(PHOTO),--photo '$(PHOTO)')

.PHONY: batch
MANIFEST ?= events/manifest.csv
batch: build ## quote the applications of MANIFEST, by default the sample's, into build/batch; IMAGES is the folder of its photos
	bin/agequote batch '$(MANIFEST)' --out build/batch $(if $(IMAGES),--images '$(IMAGES)')

# FACES holds UTKFace and FG-NET, which are not in the project.
FACES ?= ../shared/faces
RECIPE ?= transfer
RUN_FLAGS = --recipe training/recipes/$(RECIPE).yaml --images '$(FACES)' --out build/runs/$(RECIPE)
.PHONY: train ablation
train: train-build train-parts ## train by RECIPE, from photos in FACES to a model package in build/runs/RECIPE/package
	bin/training prepare $(RUN_FLAGS)
	bin/training fit $(RUN_FLAGS)
	bin/training export $(RUN_FLAGS)
	bin/training evaluate --package build/runs/$(RECIPE)/package --labels build/runs/$(RECIPE)/validation.tsv \
		--images '$(FACES)' --readings build/runs/$(RECIPE)/readings.jsonl --out build/runs/$(RECIPE)/evaluation

ablation: train-build train-parts ## what each part of the recipe is worth, after `make train`
	bin/training ablation --rows training/recipes/ablation/transfer.yaml --prepared build/runs/transfer --images '$(FACES)' \
		--cache build/runs/transfer/cache --out build/runs/ablation

.PHONY: pricing-study
PACKAGE ?= build/runs/$(RECIPE)/package
READINGS ?= build/runs/$(RECIPE)/readings.jsonl
pricing-study: ## what the photo is good for in pricing: build/crosscheck and docs/pricing.md, after `make train`; of PACKAGE and its READINGS
	go run ./training crosscheck --readings '$(READINGS)' --package '$(PACKAGE)' --out build/crosscheck --docs docs/pricing.md
	go test ./cmd/agequote -run '^TestPricingExample$$' -update-pricing

.PHONY: duplicates-study
duplicates-study: ## how well duplicates of photos are found, on FACES: docs/duplicates.md
	go run ./training/duplicates --faces '$(FACES)' > build/duplicates.md
	mv build/duplicates.md docs/duplicates.md

# Adults of the validation part of UTKFace, one photo each, with facts drawn by a
# seed: once the photo gives the age, once it checks a stated one.
.PHONY: fairness
FAIRNESS := build/fairness
fairness: build train-build ## outcomes, premiums and errors by sex, age and race on FACES: build/fairness and docs/fairness.md
	@rm -rf $(FAIRNESS)
	bin/training applicants --recipe training/recipes/$(RECIPE).yaml --images '$(FACES)' --out $(FAIRNESS)
	@for way in unstated stated; do \
		bin/agequote batch $(FAIRNESS)/$$way.csv --images '$(FACES)' --out $(FAIRNESS)/$$way && \
		bin/agequote fairness --batch $(FAIRNESS)/$$way --labels $(FAIRNESS)/true-ages.tsv --out $(FAIRNESS)/$$way-report --docs docs/fairness.md:$$way || exit 1; \
	done

.PHONY: train-aws
STACK ?= agequote
train-aws: ## train RECIPE on the AWS Batch queue of STACK; docs/training-aws.md
	go run ./training submit --stack '$(STACK)' --recipe '$(RECIPE)' $(if $(RUN),--run '$(RUN)')

# The smoke test trains on photos of people where they are, else on a set that it
# makes. It ends with status 1 where the loss does not fall.
.PHONY: train-smoke
SMOKE := $(if $(wildcard $(FACES)/utkface),smoke-faces,smoke)
SMOKE_FLAGS = --recipe training/recipes/$(SMOKE).yaml --out build/runs/$(SMOKE) $(if $(filter smoke-faces,$(SMOKE)),--images '$(FACES)')
train-smoke: train-build train-parts ## train a small recipe on XLA: prepare, lr-find, fit; the loss has to fall
	@rm -rf build/runs/$(SMOKE)
	$(if $(filter smoke,$(SMOKE)),bin/training prepare --synthetic build/smoke --photos 200)
	bin/training prepare $(SMOKE_FLAGS)
	bin/training lr-find $(SMOKE_FLAGS) --steps 30
	bin/training fit $(SMOKE_FLAGS) --falling

# ---- Testing -----------------------------------------------------------------

BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

# AGEQUOTE_REQUIRE makes a failure of each test that would skip for want of a
# part that this Makefile provides.
.PHONY: test
test: build train-parts $(if $(BROWSER),axe) $(GOTESTSUM) ## run all tests, the whole chain on the local stack too; the page's where there is a browser
	@mkdir -p build
	@status=0; \
	AGEQUOTE_REQUIRE=1 $(GOTESTSUM) --format pkgname-and-test-fails --jsonfile build/test.json \
		-- -timeout 20m ./... || status=$$?; \
	awk -f infra/count.awk build/test.json; exit $$status

.PHONY: test-browser axe
test-browser: build axe ## test both pages in Chromium; pictures of every step go to build/screenshots
	AGEQUOTE_REQUIRE=1 AGEQUOTE_REQUIRE_BROWSER=1 go test ./internal/onboard/browsertest ./internal/review/browsertest -count 1 -v

axe: ## fetch axe-core, which tests the page's accessibility, into the cache, checked by hash
	@infra/axe.sh >/dev/null

# An independent program on independently read tables draws CASES applications
# by SEED, another one each time unless it is given, and prices them; the tests
# of premium and quote compare to the cent, and the tables rate by rate.
.PHONY: test-actuarial golden-actuarial
CASES ?= 10000
ACTUARY = '$(PYMORT)/bin/python' internal/premium/testdata/premiums.py
ACTUARIAL_TESTS = go test ./internal/premium ./internal/quote -run Pymort -count 1 -v
test-actuarial: $(PYMORT)/ready ## compare premiums with pymort's in CASES random cases by SEED, and every table with its own
	@mkdir -p build/actuarial
	$(ACTUARY) cases --tables rules/tables --count $(CASES) $(if $(SEED),--seed $(SEED)) >build/actuarial/premiums.tsv
	$(ACTUARY) rates --tables rules/tables >build/actuarial/rates.tsv
	AGEQUOTE_ACTUARIAL='$(CURDIR)/build/actuarial' $(ACTUARIAL_TESTS)

golden-actuarial: $(PYMORT)/ready ## write the smaller files of these cases and rates, which plain go test reads
	$(ACTUARY) cases --tables rules/tables --count 400 --seed 20261125 >internal/premium/testdata/premiums.tsv
	$(ACTUARY) rates --tables rules/tables --edges >internal/premium/testdata/rates.tsv

.PHONY: train-kill
train-kill: train-parts ## kill five training runs at random steps, and take each up again to the same numbers
	AGEQUOTE_REQUIRE=1 AGEQUOTE_KILLS=5 go test ./training/fit -run '^TestFit$$' -count 1 -timeout 30m -v

.PHONY: soak
soak: build ## send 500 uploads, 5 of them broken, while predict is killed; another number with UPLOADS
	AGEQUOTE_REQUIRE=1 AGEQUOTE_UPLOADS=$(or $(UPLOADS),500) go test ./cmd/agequote -run '^TestChain$$' -count 1 -v

# S3 fails one request in ten, functions are killed, the disk fills, events come
# twice and late, the model is replaced; and the handlers alone on wrong clocks.
.PHONY: faults
faults: build ## send UPLOADS uploads while everything breaks, by SEED; the books have to balance
	AGEQUOTE_REQUIRE=1 AGEQUOTE_UPLOADS=$(or $(UPLOADS),10000) AGEQUOTE_SEED=$(or $(SEED),1) \
		go test ./cmd/agequote -run '^TestFaults$$' -count 1 -timeout 2h -v
	AGEQUOTE_SIMULATE=$(or $(UPLOADS),10000) AGEQUOTE_SEED=$(or $(SEED),1) go test ./internal/failed -run '^TestSimulation$$' -count 1 -v

.PHONY: bench-onboard
bench-onboard: build ## send 200 customers to the local stack at once, all to be quoted; another number with CUSTOMERS
	AGEQUOTE_REQUIRE=1 AGEQUOTE_CUSTOMERS=$(or $(CUSTOMERS),200) go test ./cmd/agequote -run '^TestOnboardMany$$' -count 1 -timeout 15m -v

.PHONY: bench-review
bench-review: build ## how quick a queue of 10,000 open cases is on the local stack; another number with OPEN
	AGEQUOTE_REQUIRE=1 AGEQUOTE_OPEN=$(or $(OPEN),10000) go test ./cmd/agequote -run '^TestReviewMany$$' -count 1 -timeout 20m -v

# Schemathesis makes requests of all kinds out of each openapi.yaml, good ones and
# bad; to the underwriters' API in each role.
.PHONY: test-schemathesis
test-schemathesis: build $(SCHEMATHESIS) ## hold both APIs on the local stack to their OpenAPI files
	AGEQUOTE_REQUIRE=1 AGEQUOTE_SCHEMATHESIS='$(SCHEMATHESIS)' go test ./cmd/agequote -run '^Test(Onboard|Review)Conforms$$' -count 1 -timeout 15m -v

# moto's server interprets the States language; the functions and S3 are the
# local stack's.
.PHONY: test-statemachine
test-statemachine: build $(MOTO)/ready ## run the state machine of a batch, with the local functions behind it
	AGEQUOTE_REQUIRE=1 AGEQUOTE_MOTO='$(MOTO)/bin/moto_server' go test ./cmd/agequote -run '^TestStateMachine' -count 1 -timeout 15m -v

.PHONY: bench
COUNT ?= 10
BENCH ?= .
bench: build $(BENCHSTAT) ## run the benchmarks, COUNT times each, those that match BENCH
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -p 1 -timeout 2h \
		$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u) | tee build/bench.txt
	$(BENCHSTAT) build/bench.txt

.PHONY: bench-whatif
PAST ?= 1000000
bench-whatif: ## decide PAST past cases again on two processors; the file of a million takes 1.3 GB of TMPDIR
	GOMAXPROCS=2 go test ./internal/whatif -run '^TestMillion$$' -count 1 -v -timeout 2h -cases $(PAST)

.PHONY: bench-batch
bench-batch: build $(BENCH_PYTHON)/ready ## photos a second of agequote batch, Python on ONNX Runtime and PyTorch by turns on two cores, on IMAGES or made photos; 2 GB of wheels
	'$(BENCH_PYTHON)/bin/python' bench/python/bench_batch.py --agequote bin/agequote --models models --selfies events/selfies \
		--photos $(or $(PHOTOS),200) --rounds $(or $(ROUNDS),3) $(if $(IMAGES),--images '$(IMAGES)')

.PHONY: soak-batch
soak-batch: build $(BENCH_PYTHON)/ready ## a batch of 10,000 photos of IMAGES, by default of FACES, killed KILLS times and compared with one that was not
	'$(BENCH_PYTHON)/bin/python' bench/python/bench_batch.py --agequote bin/agequote --models models --selfies events/selfies \
		--photos $(or $(PHOTOS),10000) --kills $(or $(KILLS),3) --images '$(or $(IMAGES),$(FACES)/utkface)'

.PHONY: bench-training bench-seed
bench-training: pjrt $(TORCH)/ready ## training steps a second in GoMLX and PyTorch by turns on the same cores; 2 GB of wheels
	go run ./training speed --python '$(TORCH)/bin/python'

bench-seed: onnxruntime pjrt $(TORCH)/ready ## the seed recipe at a size for two cores, on FACES, in GoMLX and then in PyTorch
	go run ./training prepare --recipe training/recipes/seed-small.yaml --images $(FACES) --out build/runs/seed-small --faces=false
	go run ./training fit --recipe training/recipes/seed-small.yaml --images $(FACES)
	'$(TORCH)/bin/python' training/bench/torch_fit.py --recipe training/recipes/seed-small.yaml --run build/runs/seed-small

# Each takes turns within one run, and writes its table into docs/benchmarks.md.
.PHONY: bench-side-by-side bench-budget bench-hostile bench-smaller
bench-side-by-side: build $(BENCH_ONNX)/ready $(BENCH_TORCH)/ready ## agequote, Python on ONNX Runtime and PyTorch by turns; then docs/cost.md; 2 GB of wheels
	go run ./bench/sidebyside --onnx '$(BENCH_ONNX)/bin/python' --torch '$(BENCH_TORCH)/bin/python' --rounds $(or $(ROUNDS),7)
	go test ./bench/cost -run "^TestDoc$$" -count 1 -update
	go run ./bench/scale

bench-budget: onnxruntime ## where each millisecond of a photo goes
	go run ./bench/budget

bench-hostile: onnxruntime ## hostile pictures at the limits: answer, time and memory of each
	@mkdir -p build
	go build -o build/hostile ./bench/hostile
	build/hostile

bench-smaller: build train-build $(BENCH_SMALLER)/ready ## smaller networks: error and coverage on the validation photos of RECIPE in FACES, time by turns
	bin/training prepare $(RUN_FLAGS)
	'$(BENCH_SMALLER)/bin/python' training/bench/smaller.py --package models --agequote bin/agequote --train build/runs/$(RECIPE)/train.tsv \
		--validation build/runs/$(RECIPE)/validation.tsv --images '$(FACES)' --out build/smaller --docs docs/benchmarks.md

.PHONY: fuzz
FUZZTIME ?= 10s
FUZZCORPUS ?= $(CACHE)/fuzz
fuzz: build ## run each fuzz target for FUZZTIME, from the inputs of earlier runs in FUZZCORPUS on; docs/security-tests.md
	infra/fuzz.sh '$(FUZZTIME)' '$(FUZZCORPUS)'

# ---- Checking ----------------------------------------------------------------

.PHONY: check check-format check-vet check-staticcheck check-race check-tidy check-template
check: check-format check-vet check-staticcheck check-tidy check-template check-race ## all that must be clean before a commit, but the long tests

check-format: ## gofmt
	@unformatted=$$(gofmt -l .); \
	[ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }

check-vet: ## go vet
	go vet ./...

check-staticcheck: $(STATICCHECK) ## staticcheck
	$(STATICCHECK) ./...

# go-xla guards its pools by a lock that the detector does not see, in a
# goroutine pinned to its processor: what runs XLA is left out.
check-race: build ## the short tests under the race detector
	go test -race -short -timeout 20m $$(go list ./... | grep -vE '/training(/fit|/net)?$$')

check-tidy: ## go.mod and go.sum
	go mod tidy -diff

# Offline: sam needs a region, and neither credentials nor AWS.
check-template: export AWS_DEFAULT_REGION := eu-west-1
check-template: export SAM_CLI_TELEMETRY := 0
check-template: $(VENV)/ready ## template.yaml and infra/, with the state machine: cfn-lint, hadolint, sam validate, sam build
	$(VENV)/bin/cfn-lint template.yaml infra/training.yaml
	@mkdir -p build && infra/asl-template.sh infra/batch.asl.json >build/batch.template.json
	$(VENV)/bin/cfn-lint build/batch.template.json
	$(VENV)/bin/hadolint infra/training.Dockerfile
	$(VENV)/bin/sam validate --lint
	$(VENV)/bin/sam build --build-dir build/sam

# VULNDB is the address of Go's vulnerability database, where the public one is
# out of reach: a folder that golang.org/x/vulndb/cmd/indexdb made, as file:///...
.PHONY: check-security sbom
check-security: $(CHECKOV)/ready $(GOVULNCHECK) ## known vulnerabilities of the code, and weak settings of the templates
	$(CHECKOV)/bin/checkov --config-file infra/checkov.yaml
	$(GOVULNCHECK) $(if $(VULNDB),-db '$(VULNDB)') ./...

sbom: $(CYCLONEDX) ## bills of materials of the functions, CycloneDX, into build/sbom
	@mkdir -p build/sbom
	@for f in functions/*/; do \
		$(CYCLONEDX) app -json -licenses -main "$$f" -output "build/sbom/$$(basename $$f).json" . && echo "build/sbom/$$(basename $$f).json"; \
	done

# ---- Tools -------------------------------------------------------------------

$(GOTESTSUM):
	GOBIN='$(@D)' go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)

$(STATICCHECK):
	GOBIN='$(@D)' go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)

$(BENCHSTAT):
	GOBIN='$(@D)' go install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)

$(GOVULNCHECK):
	GOBIN='$(@D)' go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)

$(CYCLONEDX):
	GOBIN='$(@D)' go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)

$(CHECKOV)/ready: infra/checkov.txt
	python3 -m venv '$(CHECKOV)'
	'$(CHECKOV)/bin/pip' install --quiet --disable-pip-version-check -r infra/checkov.txt
	@touch $@

$(VENV)/ready: infra/requirements.txt
	python3 -m venv '$(VENV)'
	'$(VENV)/bin/pip' install --quiet --disable-pip-version-check -r infra/requirements.txt
	@touch $@

$(SCHEMATHESIS): infra/schemathesis.txt
	python3 -m venv '$(CACHE)/venv-schemathesis'
	'$(CACHE)/venv-schemathesis/bin/pip' install --quiet --disable-pip-version-check -r infra/schemathesis.txt
	@touch $@

$(MOTO)/ready: infra/moto.txt
	python3 -m venv '$(MOTO)'
	'$(MOTO)/bin/pip' install --quiet --disable-pip-version-check -r infra/moto.txt
	@touch $@

$(TORCH)/ready: training/bench/requirements.txt
	python3 -m venv '$(TORCH)'
	'$(TORCH)/bin/pip' install --quiet --disable-pip-version-check -r training/bench/requirements.txt
	@touch $@

$(BENCH_ONNX)/ready: bench/python/requirements-onnx.txt
	python3 -m venv '$(BENCH_ONNX)'
	'$(BENCH_ONNX)/bin/pip' install --quiet --disable-pip-version-check -r bench/python/requirements-onnx.txt
	@touch $@

$(BENCH_TORCH)/ready: bench/python/requirements-torch.txt
	python3 -m venv '$(BENCH_TORCH)'
	'$(BENCH_TORCH)/bin/pip' install --quiet --disable-pip-version-check -r bench/python/requirements-torch.txt
	@touch $@

$(BENCH_SMALLER)/ready: training/bench/smaller.txt
	python3 -m venv '$(BENCH_SMALLER)'
	'$(BENCH_SMALLER)/bin/pip' install --quiet --disable-pip-version-check -r training/bench/smaller.txt
	@touch $@

$(BENCH_PYTHON)/ready: bench/python/requirements.txt
	python3 -m venv '$(BENCH_PYTHON)'
	'$(BENCH_PYTHON)/bin/pip' install --quiet --disable-pip-version-check -r bench/python/requirements.txt
	@touch $@

$(PYMORT)/ready: internal/premium/testdata/requirements.txt
	python3 -m venv '$(PYMORT)'
	'$(PYMORT)/bin/pip' install --quiet --disable-pip-version-check -r internal/premium/testdata/requirements.txt
	@touch $@

.PHONY: clean
clean: ## remove what was built; the cache stays
	rm -rf bin build .aws-sam
