"""delta-rs as an oracle: reads and changes Delta tables on request (canonical.serve)."""
import json
import os
import sys

import canonical  # first: it takes stdout for the answers

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake import Schema as DeltaSchema

ARROW = {"string": pa.string(), "long": pa.int64(), "integer": pa.int32(), "short": pa.int16(), "byte": pa.int8(), "float": pa.float32(),
         "double": pa.float64(), "boolean": pa.bool_(), "binary": pa.binary(), "date": pa.date32(),
         "timestamp": pa.timestamp("us", "UTC"), "timestamp_ntz": pa.timestamp("us")}


def arrow(kind):
    if isinstance(kind, str):
        if kind.startswith("decimal"):
            return pa.decimal128(*(int(n) for n in kind[8:-1].split(",")))
        return ARROW[kind]
    if kind["type"] == "array":
        return pa.list_(pa.field("element", arrow(kind["elementType"]), kind["containsNull"]))
    if kind["type"] == "map":
        return pa.map_(arrow(kind["keyType"]), pa.field("value", arrow(kind["valueType"]), kind["valueContainsNull"]))
    return pa.struct(fields(kind))


def fields(schema):
    return [pa.field(f["name"], arrow(f["type"]), f["nullable"]) for f in schema["fields"]]


def table_of(schema, rows):
    struct = {"type": "struct", "fields": schema["fields"]}
    values = [canonical.from_canonical(struct, r) for r in rows]
    return pa.Table.from_pylist(values, schema=pa.schema(fields(schema)))


def schema_of(dt):
    return json.loads(dt.schema().to_json())


def rows(dt, where=None):
    reader = QueryBuilder().register("t", dt).execute("SELECT * FROM t" + (f" WHERE {where}" if where else ""))
    return canonical.rows_of(schema_of(dt), pa.table(reader.read_all()).to_pylist())


def version(path):
    return DeltaTable(path).version()


def read(path, versions):
    """The rows at each version."""
    return [rows(DeltaTable(path, version=v)) for v in versions]


def read_where(path, wheres):
    """The rows of the newest version that meet each condition."""
    dt = DeltaTable(path)
    return [rows(dt, w) for w in wheres]


def changes(path, first, last):
    """The change data feed of the versions, first and last included."""
    dt = DeltaTable(path, version=last)
    found = pa.table(dt.load_cdf(starting_version=first, ending_version=last).read_all()).to_pylist()
    schema = {"fields": schema_of(dt)["fields"] + canonical.CHANGES}
    return canonical.rows_of(schema, found)


def create(path, schema, partition, properties):
    DeltaTable.create(path, DeltaSchema.from_json(json.dumps(schema)), partition_by=partition, configuration=properties, raise_if_key_not_exists=False)
    return version(path)


def append(path, schema, rows, evolve=False):
    write_deltalake(path, table_of(schema, rows), mode="append", schema_mode="merge" if evolve else None)
    return version(path)


def overwrite(path, schema, rows, where=None):
    write_deltalake(path, table_of(schema, rows), mode="overwrite", predicate=where)
    return version(path)


def delete(path, where=None):
    DeltaTable(path).delete(where)
    return version(path)


def update(path, set, where=None):
    DeltaTable(path).update(updates=set, predicate=where)
    return version(path)


def merge(path, schema, rows, on, clauses):
    m = DeltaTable(path).merge(table_of(schema, rows), on, source_alias="s", target_alias="t")
    for c in clauses:
        kind, when, values = c["kind"], c.get("when"), c.get("set")
        m = {"update": lambda: m.when_matched_update(values, when), "delete": lambda: m.when_matched_delete(when),
             "insert": lambda: m.when_not_matched_insert(values, when),
             "source_update": lambda: m.when_not_matched_by_source_update(values, when),
             "source_delete": lambda: m.when_not_matched_by_source_delete(when)}[kind]()
    m.execute()
    return version(path)


def optimize(path, zorder=None):
    o = DeltaTable(path).optimize
    o.z_order(zorder) if zorder else o.compact()
    return version(path)


def checkpoint(path):
    DeltaTable(path).create_checkpoint()
    return version(path)


def vacuum(path):
    DeltaTable(path).vacuum(retention_hours=200, dry_run=False)
    return version(path)


def restore(path, to):
    DeltaTable(path).restore(to)
    return version(path)


def add_column(path, field):
    DeltaTable(path).alter.add_columns(DeltaSchema.from_json(json.dumps({"type": "struct", "fields": [field]})).fields)
    return version(path)


def add_constraint(path, name, sql):
    DeltaTable(path).alter.add_constraint({name: sql})
    return version(path)


if __name__ == "__main__":
    canonical.serve({f.__name__: f for f in (version, read, read_where, changes, create, append, overwrite, delete, update, merge, optimize,
                                             checkpoint, vacuum, restore, add_column, add_constraint)})
    sys.stderr.flush()
    os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
