"""The embedded ClickHouse engine (chDB) behind ClickHouse's HTTP protocol.

chDB is one engine in one process per path, so this process owns the path and every service talks HTTP to it, with the
same `clickhouse-connect` that talks to a real server in production: only the URL differs.

What a real server has and this one does not: replicated tables, users and grants, a query log, sessions that outlive a
request, the native TCP protocol, more than one statement at a time.

What it shares with a real server and surprises: a block equal to one inside a table's
``non_replicated_deduplication_window`` (or with the token of one) is dropped without an error.
"""
