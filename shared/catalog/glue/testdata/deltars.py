"""What delta-rs, which shares no code with us, makes of tables in S3.

deltars.py make URL OPTIONS     makes a partitioned table with comments and nested types
deltars.py read OPTIONS URL...  prints columns and partition keys of each table in Hive's words, and its rows, as JSON"""

import datetime
import decimal
import json
import os
import sys

import pyarrow as pa
import pyarrow.types as is_
from deltalake import DeltaTable, Field, Schema, write_deltalake
from deltalake.schema import ArrayType, MapType, PrimitiveType, StructType

WORDS = [
    (is_.is_int64, "bigint"), (is_.is_int32, "int"), (is_.is_int16, "smallint"), (is_.is_int8, "tinyint"), (is_.is_float64, "double"),
    (is_.is_float32, "float"), (is_.is_boolean, "boolean"), (is_.is_date, "date"), (is_.is_timestamp, "timestamp"), (is_.is_string, "string"),
    (is_.is_large_string, "string"), (is_.is_string_view, "string"), (is_.is_binary, "binary"), (is_.is_large_binary, "binary"), (is_.is_binary_view, "binary"),
]


def hive(t):
    for test, word in WORDS:
        if test(t):
            return word
    if is_.is_decimal(t):
        return f"decimal({t.precision},{t.scale})"
    if is_.is_map(t):
        return f"map<{hive(t.key_type)},{hive(t.item_type)}>"
    if is_.is_list(t) or is_.is_large_list(t) or is_.is_list_view(t):
        return f"array<{hive(t.value_type)}>"
    if is_.is_struct(t):
        return "struct<" + ",".join(f"{f.name.lower()}:{hive(f.type)}" for f in t) + ">"
    raise ValueError(str(t))


def read(options, urls):
    out = {}
    for url in urls:
        table = DeltaTable(url, storage_options=options)
        rows = table.to_pyarrow_table()
        keys = table.metadata().partition_columns
        comments = {f.name: f.metadata.get("comment", "") for f in table.schema().fields}
        words = {f.name: [f.name.lower(), hive(f.type), comments[f.name]] for f in rows.schema}
        out[url] = {"Columns": [words[f.name] for f in table.schema().fields if f.name not in keys], "Keys": [words[k] for k in keys], "Rows": rows.num_rows}
    return out


def make(url, options):
    def field(name, typ, comment=""):
        return Field(name, PrimitiveType(typ) if isinstance(typ, str) else typ, metadata={"comment": comment} if comment else None)

    line = StructType([field("SKU", "string"), field("price", "decimal(9,3)"), field("tags", MapType(PrimitiveType("string"), PrimitiveType("long"), True))])
    schema = Schema([
        field("Id", "long", "The shop's id."), field("country", "string", "Two letters."), field("day", "date"), field("amount", "decimal(12,2)", "In euros."),
        field("i", "integer"), field("s", "short"), field("b", "byte"), field("f", "float"), field("d", "double"), field("ok", "boolean"), field("raw", "binary"),
        field("at", "timestamp"), field("local", "timestamp_ntz", "Of the shop."), field("lines", ArrayType(line, True)),
    ])
    DeltaTable.create(url, schema=schema, partition_by=["day", "country"], storage_options=options)
    at = datetime.datetime(2026, 11, 28, 7, 0)
    row = {
        "Id": 1, "country": "DE", "day": datetime.date(2026, 11, 28), "amount": decimal.Decimal("1.50"), "i": 1, "s": 1, "b": 1, "f": 1.5, "d": 1.5, "ok": True,
        "raw": b"x", "at": at.replace(tzinfo=datetime.timezone.utc), "local": at,
        "lines": [{"SKU": "a", "price": decimal.Decimal("1.500"), "tags": [("k", 1)]}],
    }
    arrow = pa.schema(DeltaTable(url, storage_options=options).schema().to_arrow())
    write_deltalake(url, pa.Table.from_pylist([row, {**row, "Id": 2, "country": "FR"}], schema=arrow), mode="append", storage_options=options)
    return {}


if sys.argv[1] == "make":
    answer = make(sys.argv[2], json.loads(sys.argv[3]))
else:
    answer = read(json.loads(sys.argv[2]), sys.argv[3:])
json.dump(answer, sys.stdout)
sys.stdout.flush()
os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
