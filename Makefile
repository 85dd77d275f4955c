# make run    the four notebooks of the main experiment -> build/
# make test   all tests
# make check  what to run while working: the linter, the types, the quick tests, one notebook
# make lab    JupyterLab on notebooks/
# make ready  the day before a class: is everything here, kept and fast enough?
# make site   the notebooks, as they are stored, as web pages -> build/site/
# make slides the lecture of notebooks/README.md as one HTML file -> build/lecture.html
# make links  the repository's address, kept in pyproject.toml, into notebooks and README
# make colab  every notebook in a stand-in for Colab, half an hour -> build/colab/
# make bench  how fast, beside what people use instead -> tests/benchmarks/results.md
# make studies  the long runs behind notebooks 04 to 12, some hours -> notebooks/results/
PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

.PHONY: run test check lab ready site slides links colab bench studies
run: .venv/installed
	$(BIN)/python notebooks/run.py

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 tests

QUICK := masks criteria evidence project notebooks noise_and_networks
check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	DATASET=digits $(BIN)/python -m pytest -q -n 2 -m "not slow" $(QUICK:%=tests/test_%.py) \
		--nbval-lax --nbval-current-env notebooks/03_build_masks.ipynb

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

ready: .venv/installed
	$(BIN)/python notebooks/ready.py

site: .venv/installed
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar=off -e ".[site]"
	$(BIN)/python -m sphinx -W --keep-going -q -d build/doctrees notebooks build/site

slides: .venv/installed
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar=off -e ".[site]"
	$(BIN)/python notebooks/slides.py build/lecture.html

links: .venv/installed
	$(BIN)/python notebooks/links.py

# Python 3.13, as Colab has; the last line needs MNIST in $LOTTERYHELPERS_DATA_DIR. Only what is committed runs there.
colab: .venv/installed
	$(BIN)/python tests/colab/stand_in.py
	$(BIN)/python tests/colab/stand_in.py --dataset mnist 04

# A peer that can't be installed is named as missing in the results. bayesian-torch without what it requires:
# it imports neither torchvision nor tensorboard, and they may bring another PyTorch.
bench: .venv/installed
	-$(BIN)/python -m pip install --disable-pip-version-check --progress-bar=off -e ".[bench]"
	-$(BIN)/python -m pip install --disable-pip-version-check --progress-bar=off --no-deps bayesian-torch==0.5.0
	$(BIN)/python tests/benchmarks/bench.py

studies: .venv/installed
	$(BIN)/python -m lotteryhelpers.studies

# Made again only when the requirements change; an installation that broke off leaves no such file.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else f"Python 3.10 to 3.13 is needed, this is {v[0]}.{v[1]}; try: make PYTHON=python3.12")'
	@echo "Installing into .venv: some minutes the first time, for TensorFlow is large."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar=off -e ".[notebooks,test,site]"
	@touch $@
