"""What delta-rs makes of a table: called by interop_test.go.

read TABLE [VERSION]   state as JSON, including all rows
append TABLE           two appends, a delete and a checkpoint by delta-rs
ids TABLE              column id of all rows, and of those from 40 to 51: by DataFusion, which knows deletion vectors
conflicts TABLE        which of two operations on one version get through when the other was first
create TABLE           a partitioned table by delta-rs, with merges, deletes and a checkpoint
"""
import json
import os
import sys

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake


def state(path, version=None):
    dt = DeltaTable(path, version=version)
    adds = pa.table(dt.get_add_actions(flatten=False)).to_pylist()
    rows = dt.to_pyarrow_table().to_pylist()
    return {
        "version": dt.version(),
        "files": sorted(
            [{"path": a["path"], "size": a["size_bytes"], "numRecords": a["num_records"],
              "partition": a.get("partition") or a.get("partition_values")} for a in adds], key=lambda a: a["path"]),
        "schema": json.loads(dt.schema().to_json()),
        "history": [{"version": h.get("version"), "operation": h.get("operation")} for h in dt.history()],
        "txns": {a: dt.transaction_version(a) for a in sys.argv[4:]},
        "protocol": [dt.protocol().min_reader_version, dt.protocol().min_writer_version],
        "rows": sorted(rows, key=lambda r: json.dumps(r, default=str)),
    }


def ids(path):
    def query(where):
        rows = QueryBuilder().register("t", DeltaTable(path)).execute(f"SELECT id FROM t WHERE {where}").read_all()
        return sorted(r["id"] for r in pa.table(rows).to_pylist())
    return [query("true"), query("id >= 40 AND id < 52")]


def conflicts(path):
    def rows(ids, name):
        return pa.table({"id": pa.array(ids, pa.int64()), "name": pa.array([name] * len(ids), pa.string())})

    def adds(ids, name):
        return lambda table: write_deltalake(table, rows(ids, name), mode="append")

    def deletes(where):
        return lambda table: table.delete(where)

    out = {}
    for case, (winner, mine) in {
        "append / append": (adds([1], "x"), adds([2], "x")),
        "append / delete there": (adds([5], "x"), deletes("name = 'x' and id < 10")),
        "append of other ids / delete": (adds([50, 59], "x"), deletes("name = 'x' and id < 10")),
        "append elsewhere / delete": (adds([1], "y"), deletes("name = 'x'")),
        "delete / the same delete": (deletes("name = 'x' and id < 10"), deletes("name = 'x' and id < 10")),
        "delete elsewhere / delete": (deletes("name = 'y'"), deletes("name = 'x'")),
        "delete of other ids / delete": (deletes("name = 'x' and id = 10"), deletes("name = 'x' and id = 0")),
        "optimize / delete": (lambda table: table.optimize.compact(), deletes("name = 'x' and id < 10")),
        "append / optimize": (adds([1], "x"), lambda table: table.optimize.compact()),
        "delete / optimize": (deletes("name = 'x' and id = 0"), lambda table: table.optimize.compact()),
        "properties / append": (lambda table: table.alter.set_table_properties({"delta.appendOnly": "false"}), adds([1], "x")),
    }.items():
        place = os.path.join(path, case.replace("/", "-"))
        for ids_, name in (([0, 9], "x"), ([10, 19], "x"), ([0, 9], "y")):
            write_deltalake(place, rows(ids_, name), mode="append", partition_by=["name"])
        first, second = DeltaTable(place), DeltaTable(place)
        winner(first)
        try:
            mine(second)
            out[case] = ""
        except Exception as e:
            out[case] = str(e).split("\n")[0]
    return out


def append(path):
    for start in (1000, 2000):
        write_deltalake(path, pa.table({
            "id": pa.array([start, start + 1], pa.int64()), "name": pa.array(["a b", None], pa.string())}), mode="append")
    dt = DeltaTable(path)
    dt.delete("id = 1000")
    dt.create_checkpoint()
    return state(path)


def create(path):
    data = pa.table({"id": pa.array(range(10), pa.int64()),
                     "name": pa.array(["a/b", "100%", "x y", None, "日本", "p=q", "x", "y", "z:", "#"], pa.string())})
    write_deltalake(path, data, partition_by=["name"], configuration={"delta.enableChangeDataFeed": "true"})
    dt = DeltaTable(path)
    dt.delete("id = 6")
    write_deltalake(path, data, mode="append")
    dt = DeltaTable(path)
    dt.create_checkpoint()
    write_deltalake(path, data.slice(0, 2), mode="append")
    return state(path)


command, table = sys.argv[1], sys.argv[2]
if command == "read":
    out = state(table, int(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] != "-" else None)
else:
    out = {"append": append, "create": create, "ids": ids, "conflicts": conflicts}[command](table)
print(json.dumps(out, default=str), flush=True)
os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
