# make run    the four notebooks of the main experiment -> build/
# make test   all tests
# make lab    JupyterLab on notebooks/
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lab
run: .venv/installed
	$(BIN)/python notebooks/run.py

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/python -m pytest tests notebooks

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

# Made again only when the requirements change; an installation that broke off leaves no such file.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else f"Python 3.10 to 3.13 is needed, this is {v[0]}.{v[1]}; try: make PYTHON=python3.12")'
	@echo "Installing into .venv: some minutes the first time, for TensorFlow is large."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar=off -e ".[notebooks,test]"
	@touch $@
