"""Writes types-CODEC.avro, the files of TestAvroOfFastavro, by another program's writer: pip install fastavro cramjam backports.zstd; python write_avro.py"""
import datetime as d
import decimal
import uuid

import fastavro

schema = fastavro.parse_schema({"type": "record", "name": "T", "namespace": "x.y", "fields": [
    {"name": "id", "type": "long"},
    {"name": "small", "type": ["null", "int"]},
    {"name": "ratio", "type": "double"},
    {"name": "single", "type": "float"},
    {"name": "yes", "type": "boolean"},
    {"name": "text", "type": ["string", "null"]},
    {"name": "raw", "type": "bytes"},
    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "exact", "type": {"type": "fixed", "name": "F16", "size": 16, "logicalType": "decimal", "precision": 38, "scale": 10}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "clock", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "at_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "at_us", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
    {"name": "uid", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "color", "type": {"type": "enum", "name": "Color", "symbols": ["RED", "GREEN"]}},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "numbers", "type": ["null", {"type": "array", "items": ["null", "long"]}]},
    {"name": "counts", "type": {"type": "map", "values": "int"}},
    {"name": "inner", "type": {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "int"}, {"name": "next", "type": ["null", "Inner"]}]}},
    {"name": "either", "type": ["null", "string", "long"]},
    {"name": "order_id", "type": "int"},
]})
utc = d.timezone.utc
rows = [
    {"id": 9223372036854775807, "small": None, "ratio": 0.1, "single": 1.5, "yes": True, "text": "é😀\n\"x\"", "raw": b"\x00\xff", "amount": decimal.Decimal("-1234567890.12"),
     "exact": decimal.Decimal("12345678901234567890.0123456789"), "day": d.date(1969, 12, 31), "clock": d.time(23, 59, 59, 999999), "at_ms": d.datetime(2026, 1, 2, 3, 4, 5, 6000, utc),
     "at_us": d.datetime(1, 1, 1, 0, 0, 0, 1, utc), "uid": uuid.UUID(int=1), "color": "GREEN", "tags": ["a", ""], "numbers": [1, None], "counts": {"k\"": -1},
     "inner": {"a": 1, "next": {"a": 2, "next": None}}, "either": "5", "order_id": -2147483648},
    {"id": 0, "small": -1, "ratio": -0.0, "single": 0.0, "yes": False, "text": None, "raw": b"", "amount": decimal.Decimal("0.00"), "exact": decimal.Decimal(0), "day": d.date(9999, 12, 31),
     "clock": d.time(0), "at_ms": d.datetime(1970, 1, 1, tzinfo=utc), "at_us": None, "uid": uuid.UUID(int=2**128 - 1), "color": "RED", "tags": [], "numbers": None, "counts": {},
     "inner": {"a": 0, "next": None}, "either": 5, "order_id": 7},
]
for codec in ["null", "deflate", "snappy", "zstandard"]:
    with open(f"types-{codec}.avro", "wb") as f:
        fastavro.writer(f, schema, rows, codec=codec, sync_marker=b"0123456789abcdef")
