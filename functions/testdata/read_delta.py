"""Reads tables of a lake with delta-rs: read_delta.py LAKE TABLE...

Prints the rows of each table as sorted texts, without ingest times, and its version, as JSON."""

import json
import os
import sys

import duckdb
from deltalake import DeltaTable

lake, tables = sys.argv[1], sys.argv[2:]
db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
out = {"Rows": {}, "Versions": {}}
for name in tables:
    table = DeltaTable(os.path.join(lake, name.replace(".", "/", 1)))
    rows = table.to_pyarrow_table()
    if "_ingested_at" in rows.column_names:
        rows = rows.drop_columns(["_ingested_at"])
    found = sorted((r[0] for r in db.execute("SELECT CAST(rows AS VARCHAR) FROM rows").fetchall()), key=str.encode)
    if found:
        out["Rows"][name] = found
    out["Versions"][name] = table.version()
json.dump(out, sys.stdout)
sys.stdout.flush()
os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
