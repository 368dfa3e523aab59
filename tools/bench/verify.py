"""Counts and sums of what an engine has written, or of what it should have: `verify.py want JOB N`, `verify.py got JOB delta|parquet PATH ENGINE`.
Runs in .tools/venv, which has delta-rs and DuckDB. The digest is a sum over the hashes of all rows, and so does not depend on their order."""
import glob
import json
import os
import sys

import duckdb
from deltalake import DeltaTable

VALUES = """id, id % 100 AS quantity, ((id * 7919 % 10000000) / 100)::DECIMAL(38,2) AS amount, (id % 1000) / 8.0 AS ratio, id % 3 = 0 AS active,
    'customer-' || (id % 100000) AS customer, 'product-' || md5(id::VARCHAR)[:12] AS product,
    CASE WHEN id % 4 > 0 THEN 'a note on order ' || id END AS note, DATE '2020-01-01' + (id % 2000)::INT AS day,
    1577836800000000 + id * 1000003 AS changed_at"""
ROWS = f"SELECT {VALUES} FROM (SELECT range AS id FROM range({{n}}))"
CHANGES = f"""
    SELECT false AS deleted, * FROM (SELECT {VALUES} FROM (SELECT range AS id FROM range(600, 600 + {{n}} // 1000 * 600)))
    UNION ALL SELECT false, * REPLACE (quantity + 1000 AS quantity, amount + 1 AS amount)
        FROM (SELECT {VALUES} FROM (SELECT range AS id FROM range({{n}} // 1000 * 600) WHERE range % 600 < 300))
    UNION ALL SELECT true, * FROM (SELECT {VALUES} FROM (SELECT range AS id FROM range({{n}} // 1000 * 600) WHERE range % 600 BETWEEN 300 AND 399))"""

# As engines name and type things; what tells a delete.
READ = """SELECT {deleted} AS deleted, id::BIGINT AS id, quantity::BIGINT AS quantity, amount::DECIMAL(38,2) AS amount, ratio::DOUBLE AS ratio,
    active::BOOLEAN AS active, customer, product, note, day::DATE AS day, epoch_us(changed_at) AS changed_at FROM written WHERE {which}"""
DELETED = {"lakestep": "_op = 'delete'", "dlt": "deleted_ts IS NOT NULL"}

SUMS = """SELECT count(*) FILTER (NOT deleted), sum(id) FILTER (NOT deleted), sum(amount) FILTER (NOT deleted),
    sum(hash(id::BIGINT, quantity::BIGINT, amount::DECIMAL(38,2), ratio::DOUBLE, active, customer, product, note, day::DATE, changed_at::BIGINT)) FILTER (NOT deleted),
    count(*) FILTER (deleted), sum(id) FILTER (deleted) FROM ({rows})"""


def want(job, n):
    return CHANGES.format(n=n) if job == "cdc" else "SELECT false AS deleted, * FROM (" + ROWS.format(n=n) + ")"


def got(con, job, form, path, engine):
    if form == "delta":
        con.register("written", DeltaTable(path).to_pyarrow_dataset())
    else:
        files = [path] if os.path.isfile(path) else glob.glob(os.path.join(path, "**", "*.parquet"), recursive=True)
        con.execute("CREATE VIEW written AS SELECT * FROM read_parquet(" + repr(files) + ")")
    if job != "cdc":
        return READ.format(deleted="false", which="true")
    return READ.format(deleted=DELETED[engine.split(" ")[0]], which="_op IN ('insert', 'update', 'delete')" if engine == "lakestep" else "true")


def main():
    con = duckdb.connect()
    what, job, *rest = sys.argv[1:]
    rows = want(job, int(rest[0])) if what == "want" else got(con, job, *rest)
    names = ("rows", "ids", "amounts", "digest", "deletes", "deleted_ids")
    values = con.execute(SUMS.format(rows=rows)).fetchall()[0]
    print(json.dumps({k: None if v is None else str(v) for k, v in zip(names, values) if job == "cdc" or not k.startswith("delete")}))


main()
