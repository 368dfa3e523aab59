"""What other programs do to a lake's tables, by delta-rs: called by foreign_test.go.

COMMANDS TABLE...   each command, separated by commas, on each table in turn: optimize, vacuum, append, delete, overwrite, restore, checkpoint
cdf TABLE VERSION   the change data feed since a version as lines: version|change|columns
"""
import os
import sys

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake


def rows(path, v):
    names = [f.name for f in DeltaTable(path).schema().fields]
    return pa.table({n: pa.array(["77" if n == "id" else v]) for n in names})


def do(command, path):
    dt = DeltaTable(path)
    if command == "optimize":
        dt.optimize.compact()
    elif command == "vacuum":
        dt.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    elif command == "append":
        write_deltalake(path, rows(path, "foreign"), mode="append")
    elif command == "delete":
        dt.delete("v = 'a'")
    elif command == "overwrite":
        write_deltalake(path, dt.to_pyarrow_table().slice(0, 1), mode="overwrite")
    elif command == "restore":
        dt.restore(dt.version() - 1)
    elif command == "checkpoint":
        dt.create_checkpoint()
    else:
        raise SystemExit("unknown command " + command)


def cdf(path, version):
    table = pa.table(DeltaTable(path).load_cdf(starting_version=version))
    names = [f.name for f in DeltaTable(path).schema().fields]
    for r in table.to_pylist():
        print("|".join([str(r["_commit_version"]), r["_change_type"]] + ["NULL" if r[n] is None else str(r[n]) for n in names]))


if sys.argv[1] == "cdf":
    cdf(sys.argv[2], int(sys.argv[3]))
else:
    for table in sys.argv[2:]:
        for command in sys.argv[1].split(","):
            do(command, table)
sys.stdout.flush()
os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
