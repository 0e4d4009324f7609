# The two commands: `make demo` installs into .venv and runs the series on synthetic sounds; `make test` runs the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lab notebooks bench lock clean

demo: .venv/installed
	$(BIN)/audiointerp run --profile demo

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not network and not slow"

lab: export AUDIOINTERP_DATA := $(abspath $(AUDIOINTERP_DATA))
lab: .venv/installed
	$(BIN)/jupyter lab notebooks

# The committed notebooks and figures, from real data: AUDIOINTERP_DATA=... make notebooks
notebooks: .venv/installed
	$(BIN)/audiointerp run --profile recorded --output notebooks --figures figures

bench: .venv/installed
	$(BIN)/python tests/benchmarks/bench_maps.py
	$(BIN)/python tests/benchmarks/bench_filterloss.py
	$(BIN)/python tests/benchmarks/bench_features.py $(if $(AUDIOINTERP_DATA),,--weights random --synthetic)

lock: .venv/installed
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile pyproject.toml --extra test --universal --python-version 3.10 --no-annotate --no-header \
		--upgrade -q -o requirements.lock
	sed -i.bak '1i # Versions that `make` installs; made from pyproject.toml by `make lock`.' requirements.lock
	rm requirements.lock.bak

clean:
	rm -rf .venv build runs *.egg-info .pytest_cache .ruff_cache

.venv/installed: pyproject.toml requirements.lock
	@echo "Installing into .venv (about 2 GB, some minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[test]" \
		2> .venv/install.log || (cat .venv/install.log; exit 1)
	@touch $@
