"""What other programs see of a table: `oracle.py read <table>` prints its rows and per-file bounds as delta-rs and pyarrow have them;
`oracle.py write <table>` makes a partitioned table with delta-rs."""
import datetime
import decimal
import json
import math
import os
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake


def text(v):
    if isinstance(v, (decimal.Decimal, datetime.date)):
        return str(v)
    if isinstance(v, float) and not math.isfinite(v):
        return str(v)
    if isinstance(v, bytes):
        return v.hex()
    if isinstance(v, dict):
        return {k: text(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [text(x) for x in v]
    return v


def read(path):
    table = DeltaTable(path)
    rows = table.to_pyarrow_table()
    outside = []
    for action in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        data = pq.read_table(path + "/" + action["path"])
        if action["num_records"] != data.num_rows:
            outside.append("num_records")
        for name in data.column_names:
            column = data[name]
            nulls = action.get("null_count." + name)
            if nulls is not None and nulls != column.null_count:
                outside.append(f"null_count.{name}: {nulls}, not {column.null_count}")
            lo, hi = action.get("min." + name), action.get("max." + name)
            values = [v for v in column.to_pylist() if v is not None]
            if isinstance(hi, datetime.datetime):
                hi += datetime.timedelta(microseconds=999)
            if isinstance(lo, str):
                lo, hi, values = lo.encode(), hi.encode(), [v.encode() for v in values]
            outside += [f"{name}: {v}" for v in values if (lo is not None and v < lo) or (hi is not None and v > hi)]
    return {"schema": json.loads(table.schema().to_json()), "rows": [text(r) for r in rows.to_pylist()], "outside": outside}


def write(path):
    rows = pa.table({
        "p": pa.array(["a b", "100%", None, "x/y", "é?*[1]"]), "d": pa.array([datetime.date(1969, 12, 31)] * 5), "n": pa.array([1, 2, 3, 4, 5]),
    })
    write_deltalake(path, rows, partition_by=["p", "d"])
    more = pa.table({"p": pa.array(["a b"]), "d": pa.array([None], pa.date32()), "n": pa.array([6]), "late": pa.array([pc.cast("1.50", pa.decimal128(5, 2)).as_py()], pa.decimal128(5, 2))})
    write_deltalake(path, more, mode="append", schema_mode="merge")


if sys.argv[1] == "read":
    print(json.dumps(read(sys.argv[2])))
else:
    write(sys.argv[2])
sys.stdout.flush()
os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
