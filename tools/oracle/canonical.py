"""The values of tables as JSON, in the form of the Delta corpus, and the loop that an oracle serves.

decimal = text, timestamp = ISO with 6 digits and Z, timestamp_ntz the same without Z, date ISO, binary = hex, NaN and the
infinities = text, map = list of [key, value] sorted by JSON text, variant = {"$variant": its JSON}. Types are those of a Delta schema's JSON.
"""
import datetime as dt
import decimal
import json
import math
import os
import sys
import traceback

answers = os.fdopen(os.dup(1), "w")  # what libraries and their child processes print must not come between the answers
os.dup2(2, 1)

UTC = dt.timezone.utc
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def text(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def to_canonical(kind, v):
    """A Python value of an engine, of Delta type kind."""
    if v is None:
        return None
    if isinstance(kind, dict):
        if kind["type"] == "struct":
            return {f["name"]: to_canonical(f["type"], v[f["name"]]) for f in kind["fields"]}
        if kind["type"] == "array":
            return [to_canonical(kind["elementType"], e) for e in v]
        pairs = v.items() if isinstance(v, dict) else v
        return sorted(([to_canonical(kind["keyType"], k), to_canonical(kind["valueType"], e)] for k, e in pairs), key=text)
    if kind in ("float", "double"):
        v = float(v)
        return v if math.isfinite(v) else "NaN" if math.isnan(v) else "Infinity" if v > 0 else "-Infinity"
    if kind.startswith("decimal"):
        scale = int(kind[:-1].split(",")[1])
        return format(decimal.Decimal(v).quantize(decimal.Decimal(1).scaleb(-scale), context=decimal.Context(prec=60)), "f")
    if kind == "timestamp":
        v = v.replace(tzinfo=UTC) if v.tzinfo is None else v.astimezone(UTC)
        return iso(v.replace(tzinfo=None)) + "Z"
    if kind == "timestamp_ntz":
        return iso(v)
    if kind == "date":
        return v.isoformat()
    if kind == "binary":
        return bytes(v).hex()
    if kind == "variant":
        return {"$variant": json.loads(v.toJson("UTC"))}
    return v


def iso(v):
    return v.isoformat(timespec="microseconds")


def from_canonical(kind, v):
    """The Python value that pyarrow and Spark take for a canonical one."""
    if v is None:
        return None
    if isinstance(kind, dict):
        if kind["type"] == "struct":
            return {f["name"]: from_canonical(f["type"], v[f["name"]]) for f in kind["fields"]}
        if kind["type"] == "array":
            return [from_canonical(kind["elementType"], e) for e in v]
        return [(from_canonical(kind["keyType"], k), from_canonical(kind["valueType"], e)) for k, e in v]
    if kind in ("float", "double"):
        return SPECIAL[v] if isinstance(v, str) else float(v)
    if kind.startswith("decimal"):
        return decimal.Decimal(v)
    if kind == "timestamp":
        return dt.datetime.fromisoformat(v[:-1]).replace(tzinfo=UTC)
    if kind == "timestamp_ntz":
        return dt.datetime.fromisoformat(v)
    if kind == "date":
        return dt.date.fromisoformat(v)
    if kind == "binary":
        return bytes.fromhex(v)
    return v


def rows_of(schema, rows):
    """Rows (mappings) under a Delta schema, each as canonical JSON text."""
    struct = {"type": "struct", "fields": schema["fields"]}
    return sorted(text(to_canonical(struct, r)) for r in rows)


CHANGES = [{"name": "_change_type", "type": "string"}, {"name": "_commit_version", "type": "long"}]


def serve(commands):
    """Answers requests, one JSON object a line: {"cmd": name, ...} gives {"ok": answer} or {"error": text}."""
    print(json.dumps({"ok": "ready"}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line, parse_int=lambda n: -0.0 if n == "-0" else int(n))
        try:
            answer = {"ok": commands[request.pop("cmd")](**request)}
        except Exception as e:  # the caller judges what an engine refuses
            answer = {"error": f"{type(e).__name__}: {e}".split("\n\nJVM")[0][:4000]}
            traceback.print_exc(file=sys.stderr)
        print(json.dumps(answer, ensure_ascii=False), file=answers, flush=True)
