# dreamlib: one target per table and figure. "make help" lists them.

PROFILE  ?= quick
DATASETS ?=
IPC      ?=
METHODS  ?=
SEEDS    ?= 0
WORKERS  ?= 0
DEVICE   ?= auto
PLUGINS  ?=
RESULTS  ?=
INLINE   ?=
PAPER    ?= dream
PYTHON   ?= python3
VENV     ?= .venv

DREAM := table1 table2 figure1 figure2 figure3 figure_gradnorm figure_comparison
# The other papers' targets carry the paper's name: dm-section4 is notebooks/dm/section4.
DM     := dm-tableT1 dm-section4 dm-figureF1 dm-figureF2 dm-batchnorm dm-comparisons dm-continual
DIM    := $(addprefix dim-,table1 table2 table3 table4 table5 table6 table7 table8 table9 table10 control \
          figure1c figure1d figure3a figure3b figure3c figure4 figure5 figure6 figure7)
ENGINE := engine-speed engine-rates

python := $(VENV)/bin/python
stamp  := $(VENV)/.installed
# What few need is installed when it is asked for: the first table waits for nothing that it does not use.
press  := $(VENV)/.press
site   := $(VENV)-docs

# make takes any NAME=value in silence; a misspelt one would run the wrong study.
KNOWN := PROFILE DATASETS IPC METHODS SEEDS WORKERS DEVICE PLUGINS RESULTS PAPER INLINE PYTHON VENV
given := $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
wrong := $(filter-out $(KNOWN),$(given))
ifneq ($(wrong),)
  $(error unknown parameter $(wrong); valid: $(KNOWN))
endif

# What is typed goes to the shell as the value of a variable, so that neither make nor the shell reads commands in it.
$(foreach name,$(KNOWN),$(eval export GIVEN_$(name) := $$(value $(name))))

# An empty value is left out, so that the profile's own choice holds.
optional = $(if $(value $(1)),--$(2) "$$GIVEN_$(1)")
study  = --profile "$$GIVEN_PROFILE" --seeds "$$GIVEN_SEEDS" $(call optional,DATASETS,datasets) $(call optional,IPC,ipc) \
         $(call optional,METHODS,methods) $(call optional,PLUGINS,plugins) $(call optional,RESULTS,results)
choice = $(study) --workers "$$GIVEN_WORKERS" --device "$$GIVEN_DEVICE" $(if $(value INLINE),--inline)

.DEFAULT_GOAL := help
.PHONY: help all dream dm dim engine $(DREAM) $(DM) $(DIM) $(ENGINE) bench status index claims picture paper docs install check test nightly style lint sync clean

help: ## this list
	@echo "make TARGET [PROFILE=quick|cpu|paper] [DATASETS=mnist,cifar10] [IPC=1,10] [METHODS=dm,dream] [SEEDS=3] [PLUGINS=file.py] [INLINE=1]"
	@echo
	@grep -hE '^[a-z_ -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 22
	@printf '%s\tDREAM, the notebook of this name\n' $(DREAM) | expand -t 22
	@printf '%s\tDM, the notebook of this name\n' $(DM) | expand -t 22
	@printf '%s\tDiM, the notebook of this name\n' $(DIM) | expand -t 22
	@printf '%s\tthe notebook of this name\n' $(ENGINE) | expand -t 22

all: dream dm dim engine ## every notebook of every paper

dream: $(DREAM) ## every item of the DREAM supplement and README

$(DREAM): $(stamp)
	@exec $(python) -m dreamlib notebook dream/$@ $(choice)

dm: $(DM) ## every item of the DM supplement

$(DM): $(stamp)
	@exec $(python) -m dreamlib notebook dm/$(@:dm-%=%) $(choice)

dim: $(DIM) ## every item of the DiM paper

$(DIM): $(stamp)
	@exec $(python) -m dreamlib notebook dim/$(@:dim-%=%) $(choice)

engine: $(ENGINE) ## how fast the engine is, and at what price in accuracy

$(ENGINE): $(stamp)
	@exec $(python) -m dreamlib notebook engine/$(@:engine-%=%) $(choice)

bench: $(stamp) ## speed, memory and the floor of the engine next to reference loops (DEVICE=cpu|cuda)
	exec $(python) -m benchmarks --device "$$GIVEN_DEVICE"

status: $(stamp) ## what is done, missing and failed under PROFILE
	@exec $(python) -m dreamlib status $(study)

index: $(stamp) ## rewrite the front page, reports/index.html and reports/README.md
	@exec $(python) -m dreamlib index

claims: $(stamp) ## list every claim of the papers, and what would decide it: reports/claims.md
	@exec $(python) -m dreamlib claims

picture: $(stamp) ## bring the picture and the table of README.md in line with the records
	@exec $(python) -m dreamlib picture $(call optional,RESULTS,results)

paper: $(press) ## the pages of one paper as reports/PROFILE/PAPER.pdf (PAPER=dream|dm|dim)
	@exec $(python) -m dreamlib paper "$$GIVEN_PAPER" --profile "$$GIVEN_PROFILE"

$(press): $(stamp) requirements-docs.lock
	$(python) -m pip install --quiet --disable-pip-version-check -c requirements-docs.lock pypandoc-binary typst
	@touch $@

docs: $(site)/.installed ## the documentation site, in build/docs, to be read without a network
	@exec $(site)/bin/python docs/_build.py

$(site)/.installed: requirements-docs.lock
	$(PYTHON) -m venv $(site)
	$(site)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.lock
	@touch $@

install: $(stamp) ## create .venv from requirements.lock

$(stamp): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dreamlib needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(python) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(python) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

test: $(stamp) style ## lint, types, unit, property and fault tests, and nbval over every notebook under quick
	@# Types are checked while tests wait for processes; what the checker says follows them.
	@mkdir -p build
	$(types) > build/types.txt 2>&1 & checker=$$!; \
	  $(python) -m pytest -n 2 --dist worksteal; tests=$$?; \
	  wait $$checker; wrong=$$?; cat build/types.txt; exit $$((tests + wrong))
	@# The folder is named by the code, so that notebooks are never judged by the records of other code.
	results=build/test-results-$$($(python) -m dreamlib.companion.source) && \
	  $(python) -m dreamlib run all --profile quick --results $$results --quiet && \
	  DREAMLIB_RESULTS=$$results PYTHONPATH=tests $(python) -m pytest -p forked_kernels \
	    --nbval-lax --nbval-current-env -n 2 --dist loadfile notebooks

check: $(stamp) ## lint, and the tests that neither train, compile nor start processes: a minute or two, while you think
	$(python) -m ruff check .
	$(python) -m pytest -n 2 --dist worksteal -q -m "not nightly and not trains and not compiles and not processes"

nightly: $(stamp) ## variants of tests and the slowest ones; parts broken on purpose, which nbval must notice; committed records again
	$(python) -m pytest -m nightly

# What lies next to notebooks and is none: analyses that one page, or a few, need.
page_modules = $(filter-out $(patsubst %.ipynb,%.py,$(wildcard notebooks/*/*.ipynb)),$(wildcard notebooks/*/*.py))

types = $(python) -m mypy dreamlib $(page_modules)

style: $(stamp)
	$(python) -m ruff check .
	$(python) -m ruff format --check .

lint: style ## ruff and mypy
	$(types)

sync: $(stamp) ## bring the .ipynb twins in line with the .py sources
	$(python) notebooks/_sync.py

clean: ## remove what quick runs have left (measured studies stay)
	rm -rf reports/quick reports/results/quick build
