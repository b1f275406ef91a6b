# The two commands of the README are `make demo` and `make test`. Both make .venv from requirements.lock first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-px4 soak mutants lint format lock clean

demo: .venv/ready
	$(BIN)/fleet demo $(ARGS)

# A file goes to one worker, as the checks of some share a vehicle. Tests marked e2e run whole programs against the clock:
# by themselves, as the load of others must not decide how they end.
test: .venv/ready lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not px4 and not soak and not e2e and not processes" $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m processes $(ARGS)
	$(BIN)/python -m pytest -m "e2e and not px4 and not soak" $(ARGS)

test-px4: .venv/ready            ## the px4 tests against a real PX4 (PX4_SITL_BIN, or `px4` on PATH)
	$(BIN)/python -m pytest -m px4 $(ARGS)

soak: .venv/ready                ## long random runs, bounded at 60 minutes: flights on one core, all else on the other
	timeout 3600 $(BIN)/python -m pytest -n 2 --dist loadfile -m soak --hypothesis-profile=explore $(ARGS)

mutants: .venv/ready             ## mutation testing by a sample, some 15 minutes: ARGS="decisions --sample 300 --seed 2"
	timeout 3600 $(BIN)/python -m benchmarks.mutants $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:                            ## re-resolve the dependencies into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header -q -o requirements.lock

# uv is only the fast installer: every wheel is pinned by hash in requirements.lock, and compiled for a quick first start.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Coldwing needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

clean:
	rm -rf .venv var dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
