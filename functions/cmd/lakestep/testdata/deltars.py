"""What delta-rs and DuckDB make of a lake.

deltars.py read LAKE           every table: version, files, rows by two readers, schema, history; of tables with a change data
                               feed also what the feed adds up to
deltars.py append LAKE TABLE KEY  appends a row to TABLE, a copy of its first one with another KEY
deltars.py maintain LAKE       compacts, checkpoints and vacuums every table, and keeps no file that the newest version does not have
"""
import glob, json, os, sys

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

KEYS = {"cleaned_orders": "order_id", "cleaned_customers": "customer_id", "cleaned_products": "product_id", "fact_orders": "order_id",
        "dim_customers": "customer_sk"}


def names(lake):
    return sorted(os.path.relpath(os.path.dirname(p), lake).replace("/", ".") for p in glob.glob(f"{lake}/*/*/_delta_log"))


def table(lake, name):
    return DeltaTable(os.path.join(lake, *name.split(".", 1)))


def arrow(reader):
    return pa.table(reader.read_all() if hasattr(reader, "read_all") else reader)


def feed(con, dt, key):
    """Rows by kind of change, and how many rows the newest images and the table do not share."""
    changes, rows = arrow(dt.load_cdf(starting_version=0)), dt.to_pyarrow_table()
    kinds = dict(con.sql("SELECT _change_type, count(*) FROM changes GROUP BY ALL").fetchall())
    columns = ", ".join(f'"{f.name}"' for f in dt.schema().fields)
    newest = f"""SELECT {columns} FROM (FROM changes WHERE _change_type <> 'update_preimage'
        QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _commit_version DESC) = 1) WHERE _change_type <> 'delete'"""
    off = con.sql(f"SELECT count(*) FROM ((({newest}) EXCEPT ALL SELECT {columns} FROM rows) UNION ALL "
                  f"(SELECT {columns} FROM rows EXCEPT ALL ({newest})))").fetchall()[0][0]
    return {"kinds": kinds, "off": off}


def read(lake):
    con = duckdb.connect(config={"threads": 2})
    con.sql("SET TimeZone='UTC'")
    out = {}
    for name in names(lake):
        dt = table(lake, name)
        files = dt.file_uris()
        t = {"version": dt.version(), "files": len(files), "rows": dt.to_pyarrow_table().num_rows,
             "duckdb": con.sql(f"SELECT count(*) FROM read_parquet({files})").fetchall()[0][0] if files else 0,
             "schema": json.loads(dt.schema().to_json()), "history": [h["version"] for h in dt.history()]}
        key = KEYS.get(name.split(".")[1])
        if key and dt.metadata().configuration.get("delta.enableChangeDataFeed") == "true":
            t["feed"] = feed(con, dt, key)
        out[name] = t
    return out


def append(lake, name, key):
    dt = table(lake, name)
    row = dt.to_pyarrow_table().slice(0, 1)
    i = row.schema.get_field_index("order_id")
    write_deltalake(dt, row.set_column(i, row.schema.field(i), pa.array([key], row.schema.field(i).type)), mode="append")
    return dt.version()


def maintain(lake):
    out = {}
    for name in names(lake):
        dt = table(lake, name)
        compacted = dt.optimize.compact(max_concurrent_tasks=1)
        dt.create_checkpoint()
        planned = dt.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=True)
        removed = dt.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        out[name] = {"added": compacted["numFilesAdded"], "planned": len(planned), "removed": len(removed),
                     "ours": [p for p in removed if "_lakestep" in p]}
    return out


print(json.dumps({"read": read, "append": append, "maintain": maintain}[sys.argv[1]](*sys.argv[2:])))
sys.stdout.flush()
os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
