"""``python -m devstack.clickhouse --path DIRECTORY --port PORT``: the password comes from CLICKHOUSE_PASSWORD."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from aiohttp import web

from devstack.clickhouse.engine import Engine
from devstack.clickhouse.server import Server
from devstack.ports import HOST


def main() -> None:
    parser = argparse.ArgumentParser(prog="devstack.clickhouse")
    parser.add_argument("--path", type=Path, required=True, help="directory that the engine owns")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", default="default")
    parser.add_argument("--waiting", type=int, default=64, help="statements that may wait for the running one")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    engine = Engine(options.path, waiting=options.waiting)
    try:
        server = Server(engine, options.user, os.environ.get("CLICKHOUSE_PASSWORD", ""))
        # returns after SIGTERM or SIGINT, when every request has been answered
        web.run_app(server.app(), host=HOST, port=options.port, print=None, access_log=None)
    finally:
        engine.close()


if __name__ == "__main__":
    main()
