# fleetlog: `./just` lists the recipes; the two that matter first are `./just demo` and `./just test`.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

python := ".venv/bin/python"

# list the recipes
[private]
default:
    @.venv/bin/just --list --unsorted

# run the main job on real brokers for about 20 s and print whether the books balance
demo *args: programs
    @{{ python }} -m demo "$@"

# all checks and all tests, as CI runs them
test: check unit integration

# the tests of faults in full length: ClickHouse away for 10 minutes, inserts of 10 s, Kafka away for a minute
faults-long *args: programs
    @LONG_FAULTS=1 .venv/bin/pytest tests/e2e/faults tests/integration/timeseries/test_clickhouse_faults.py "$@"

# start everything and leave it running; prints the URLs (options: --foreground, --tls, --services A,B)
up *args: programs
    @{{ python }} -m devstack up "$@"

# stop what `up` left running
down:
    @{{ python }} -m devstack down

# a simulated fleet against a running stack (`./just fleet --help`)
fleet *args:
    @{{ python }} -m fleet "$@"

# one benchmark, the last line is JSON (`./just bench` lists them)
bench *args: programs
    @{{ python }} -m bench "$@"

# lint, types, import contracts, generated files
check:
    @.venv/bin/ruff check .
    @.venv/bin/ruff format --check .
    @.venv/bin/mypy
    @.venv/bin/lint-imports
    @{{ python }} -m libs.topics.generate --check
    @{{ python }} -m libs.runtime.reference --check
    @{{ python }} -m cli.reference --check

# tests without brokers, in parallel
unit *args:
    @.venv/bin/pytest -n auto tests/unit tests/contract "$@"

# tests on the real Kafka, mosquitto and ClickHouse engine
integration *args: programs
    @.venv/bin/pytest -n 2 --dist loadfile tests/integration tests/e2e "$@"

# write schemas, AsyncAPI document and topic pages from the catalog; settings, metrics and CLI pages from the code
generate:
    @{{ python }} -m libs.topics.generate
    @{{ python }} -m libs.runtime.reference
    @{{ python }} -m cli.reference

# compile the requirement files with hashes (no index address is written)
lock:
    @for name in base dev; do .venv/bin/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/$name.in -o requirements/$name.txt; done
    @.venv/bin/uv pip compile --quiet --upgrade --python-version 3.11 --no-deps --generate-hashes --no-header --no-annotate requirements/dataset.in -o requirements/dataset.txt

# Kafka's jars and mosquitto, fetched where they are missing
[private]
programs:
    @{{ python }} -m devstack programs
