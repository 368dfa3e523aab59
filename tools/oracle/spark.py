"""Spark with Delta as an oracle: reads and changes Delta tables on request (canonical.serve), in one session.

usage: spark.py FOLDER_WITH_JARS
"""
import datetime
import glob
import json
import os
import sys
import time

os.environ["TZ"] = "UTC"
time.tzset()

import canonical  # before pyspark: it takes stdout for the answers

from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType, TimestampNTZType, TimestampType

for kind in (TimestampType, TimestampNTZType):  # Python's fromtimestamp does not know the year 1
    kind.fromInternal = lambda self, us: None if us is None else datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)


def session():
    """A small local session: UTC, ANSI, without code generation, which costs more than it brings for small tables."""
    spark = (SparkSession.builder.master("local[2]").appName("lakestep")
             .config("spark.jars", ",".join(sorted(glob.glob(sys.argv[1] + "/*.jar"))))
             .config("spark.driver.memory", "2g").config("spark.sql.shuffle.partitions", "1")
             .config("spark.sql.session.timeZone", "UTC").config("spark.sql.ansi.enabled", "true")
             .config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
             .config("spark.databricks.delta.snapshotPartitions", "1").config("spark.sql.codegen.wholeStage", "false")
             .config("spark.sql.codegen.factoryMode", "NO_CODEGEN").config("spark.sql.adaptive.enabled", "false")
             .config("spark.databricks.delta.retentionDurationCheck.enabled", "false")
             .config("spark.sql.sources.parallelPartitionDiscovery.parallelism", "2")
             .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
             .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


spark = session()


def delta_log(path):
    return spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, path)


def frame(schema, rows):
    struct = {"type": "struct", "fields": schema["fields"]}
    return spark.createDataFrame([spark_value(struct, r) for r in rows], StructType.fromJson(schema))


def spark_value(kind, v):
    """As from_canonical, with tuples for structs and mappings for maps."""
    if v is None or isinstance(kind, str):
        return canonical.from_canonical(kind, v)
    if kind["type"] == "struct":
        return tuple(spark_value(f["type"], v[f["name"]]) for f in kind["fields"])
    if kind["type"] == "array":
        return [spark_value(kind["elementType"], e) for e in v]
    return {spark_value(kind["keyType"], k): spark_value(kind["valueType"], e) for k, e in v}


def rows(df):
    return canonical.rows_of(json.loads(df.schema.json()), df.collect())


def load(path, **options):
    return spark.read.format("delta").options(**options).load(path)


def version(path):
    return int(spark.sql(f"DESCRIBE HISTORY {at(path)} LIMIT 1").collect()[0]["version"])


SKIPPING = "spark.databricks.delta.stats.skipping"


def read(path, versions):
    """The rows at each version. To plan which files to skip takes longer than to read small tables, but deletion vectors want it."""
    out = []
    for v in versions:
        spark.conf.set(SKIPPING, "false")
        try:
            out.append(rows(load(path, versionAsOf=v)))
        except IllegalArgumentException:
            spark.conf.set(SKIPPING, "true")
            out.append(rows(load(path, versionAsOf=v)))
    return out


def read_where(path, wheres):
    """The rows of the newest version that meet each condition."""
    spark.conf.set(SKIPPING, "true")
    return [rows(load(path).where(w)) for w in wheres]


def changes(path, first, last):
    """The change data feed of the versions, first and last included."""
    spark.conf.set(SKIPPING, "true")
    df = load(path, readChangeFeed="true", startingVersion=first, endingVersion=last).drop("_commit_timestamp")
    return rows(df)


def sql(text):
    return [r.asDict(recursive=True) for r in spark.sql(text).collect()]


def at(path):
    return f"delta.`{path}`"


def ddl(schema):
    return spark._jvm.org.apache.spark.sql.types.DataType.fromJson(json.dumps(schema)).toDDL()


def where_clause(where):
    return f" WHERE {where}" if where else ""


def create(path, schema, partition, properties):
    columns = ddl(schema)
    parts = f" PARTITIONED BY ({', '.join(f'`{p}`' for p in partition)})" if partition else ""
    kept = ", ".join(f"'{k}' = '{v}'" for k, v in properties.items())
    spark.sql(f"CREATE TABLE {at(path)} ({columns}) USING delta{parts}" + (f" TBLPROPERTIES ({kept})" if kept else ""))
    return version(path)


def append(path, schema, rows, evolve=False):
    frame(schema, rows).write.format("delta").mode("append").option("mergeSchema", str(evolve).lower()).save(path)
    return version(path)


def overwrite(path, schema, rows, where=None, dynamic=False):
    w = frame(schema, rows).write.format("delta").mode("overwrite")
    if where:
        w = w.option("replaceWhere", where)
    if dynamic:
        w = w.option("partitionOverwriteMode", "dynamic")
    w.save(path)
    return version(path)


def delete(path, where=None):
    spark.sql(f"DELETE FROM {at(path)}{where_clause(where)}")
    return version(path)


def update(path, set, where=None):
    values = ", ".join(f"{k} = {v}" for k, v in set.items())
    spark.sql(f"UPDATE {at(path)} SET {values}{where_clause(where)}")
    return version(path)


CLAUSES = {"update": "MATCHED", "delete": "MATCHED", "insert": "NOT MATCHED", "source_update": "NOT MATCHED BY SOURCE",
           "source_delete": "NOT MATCHED BY SOURCE"}


def merge(path, schema, rows, on, clauses):
    frame(schema, rows).createOrReplaceTempView("merge_source")
    text = f"MERGE INTO {at(path)} AS t USING merge_source AS s ON {on}"
    for c in clauses:
        kind, values = c["kind"], c.get("set") or {}
        text += f" WHEN {CLAUSES[kind]}" + (f" AND {c['when']}" if c.get("when") else "") + " THEN "
        if kind == "insert":
            text += f"INSERT ({', '.join(values)}) VALUES ({', '.join(values.values())})"
        elif kind.endswith("delete"):
            text += "DELETE"
        else:
            text += "UPDATE SET " + ", ".join(f"{k} = {v}" for k, v in values.items())
    spark.sql(text)
    return version(path)


def optimize(path, zorder=None):
    spark.sql(f"OPTIMIZE {at(path)}" + (f" ZORDER BY ({', '.join(zorder)})" if zorder else ""))
    return version(path)


def checkpoint(path):
    delta_log(path).checkpoint()
    return version(path)


def vacuum(path):
    spark.sql(f"VACUUM {at(path)} RETAIN 200 HOURS")
    return version(path)


def restore(path, to):
    spark.sql(f"RESTORE TABLE {at(path)} TO VERSION AS OF {to}")
    return version(path)


def add_column(path, field):
    spark.sql(f"ALTER TABLE {at(path)} ADD COLUMNS ({ddl({'type': 'struct', 'fields': [field]})})")
    return version(path)


def widen(path, column, type):
    spark.sql(f"ALTER TABLE {at(path)} ALTER COLUMN `{column}` TYPE {type}")
    return version(path)


def add_constraint(path, name, sql):
    spark.sql(f"ALTER TABLE {at(path)} ADD CONSTRAINT {name} CHECK ({sql})")
    return version(path)


if __name__ == "__main__":
    canonical.serve({f.__name__: f for f in (version, read, read_where, changes, sql, create, append, overwrite, delete, update, merge, optimize,
                                             checkpoint, vacuum, restore, add_column, widen, add_constraint)})
