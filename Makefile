# The two commands: `make demo` installs into .venv and runs the series on synthetic sounds; `make test` runs the tests.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := -m pytest -n 2 --dist worksteal -m "not network and not slow"
# QUICK=1: only the tests whose numbers depend most on processor and versions, a minute.
QUICK_TESTS := maps/test_cam.py maps/test_gradcam.py maps/test_lime.py maps/test_occlusion.py plots/test_spectrograms.py \
	networks/test_interpretable_filters.py networks/test_precision.py evaluation/test_metrics.py datasets/test_gtzan.py
PART = $(if $(QUICK),-k "not whatever_policy and not trained_filter" $(QUICK_TESTS:%=tests/%))
# Versions that Google Colab has; any list of name==version.
COLAB ?= tests/environments/colab.txt

# Some images forbid Python to keep compiled files: each kernel and worker would compile TensorFlow anew, ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-colab test-lowest page lab notebooks bench lock clean

demo: .venv/installed
	$(BIN)/audiointerp run --profile demo

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python $(PYTEST) $(PART)

# The tests on Python 3.13 with what Colab has, notebooks 01 and 04 in its IPython too.
test-colab: .venv-colab/installed
	.venv-colab/bin/python $(PYTEST) $(PART)
	$(if $(QUICK),,.venv-colab/bin/python -m pytest tests/notebooks -k nbconvert)

# The tests on Python 3.10 with the lowest versions that pyproject.toml allows.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python $(PYTEST) $(PART)

# Notebook 11 as a page for sounds of your own, on this computer alone.
page: .venv/installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[page]"
	$(BIN)/audiointerp page

lab: export AUDIOINTERP_DATA := $(abspath $(AUDIOINTERP_DATA))
lab: .venv/installed
	$(BIN)/jupyter lab notebooks

# The committed notebooks and figures, from real data: AUDIOINTERP_DATA=... make notebooks
notebooks: .venv/installed
	$(BIN)/audiointerp run --profile recorded --output notebooks --figures figures

bench: .venv/installed
	$(BIN)/python tests/benchmarks/bench_maps.py
	$(BIN)/python tests/benchmarks/bench_peers.py
	$(BIN)/python tests/benchmarks/bench_filterloss.py
	$(BIN)/python tests/benchmarks/bench_features.py $(if $(AUDIOINTERP_DATA),,--weights random --synthetic)

lock: .venv-uv/installed
	.venv-uv/bin/uv pip compile pyproject.toml --extra test --universal --python-version 3.10 --no-annotate --no-header \
		--upgrade -q -o requirements.lock
	sed -i.bak '1i # Versions that `make` installs; made from pyproject.toml by `make lock`.' requirements.lock
	rm requirements.lock.bak

clean:
	rm -rf .venv .venv-* build runs *.egg-info .pytest_cache .ruff_cache

.venv/installed: pyproject.toml requirements.lock
	@echo "Installing into .venv (about 2 GB, some minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv 2> .venv/install.log && \
		$(BIN)/uv pip install -q --python $(BIN)/python -c requirements.lock -e ".[test]" 2>> .venv/install.log || \
		$(BIN)/python -m pip install -q --no-compile --disable-pip-version-check -c requirements.lock -e ".[test]" \
		2>> .venv/install.log || (cat .venv/install.log; exit 1)
	@touch $@

.venv-uv/installed:
	@$(PYTHON) -m venv .venv-uv
	@.venv-uv/bin/python -m pip install -q --disable-pip-version-check uv
	@touch $@

.venv-colab/installed: VERSION := 3.13
.venv-colab/installed: GIVEN := -c $(COLAB)
.venv-colab/installed: $(COLAB)
.venv-lowest/installed: VERSION := 3.10
.venv-lowest/installed: GIVEN := --resolution lowest-direct
.venv-colab/installed .venv-lowest/installed: pyproject.toml .venv-uv/installed
	@echo "Installing into $(@D) (about 2 GB, a minute) ..."
	@PYENV_VERSION=$(VERSION) .venv-uv/bin/uv venv -q --clear --python $(VERSION) $(@D)
	@.venv-uv/bin/uv pip install -q --python $(@D)/bin/python $(GIVEN) -e ".[test]"
	@touch $@

$(COLAB):
	$(error COLAB=$@: no such file; expected a list of name==version, such as tests/environments/colab.txt)
