"""What Spark makes of a table whose log lakestep wrote: called by spark_test.go.

TABLE   reads it, changes it with Spark, and prints what it saw as JSON
"""
import glob
import json
import os
import sys

from pyspark.sql import SparkSession

path = sys.argv[1]
spark = (SparkSession.builder.master("local[2]").appName("lakestep")
         .config("spark.jars", ",".join(sorted(glob.glob(os.environ["LAKESTEP_TEST_SPARK"] + "/jars/*.jar"))))
         .config("spark.driver.memory", "2g").config("spark.sql.shuffle.partitions", "2")
         .config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false")
         .config("spark.ui.showConsoleProgress", "false").config("spark.databricks.delta.snapshotPartitions", "2")
         .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
         .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
table = f"delta.`{path}`"


def ids(where="true", version=None):
    at = "" if version is None else f" VERSION AS OF {version}"
    return sorted(r[0] for r in spark.sql(f"SELECT id FROM {table}{at} WHERE {where}").collect())


def alone(file, where):
    """The ids while no other data file is there: the statistics must have told Spark to look at this one only."""
    others = [f for f in glob.glob(os.path.join(path, "*.parquet")) if os.path.basename(f) != file]
    for f in others:
        os.rename(f, f + ".away")
    try:
        return ids(where)
    finally:
        for f in others:
            os.rename(f + ".away", f)


def history():
    return [[r.version, r.operation, int(r.timestamp.timestamp() * 1000)] for r in spark.sql(f"DESCRIBE HISTORY {table}").collect()]


out = {"before": {"ids": ids(), "some": ids("id >= 40 AND id < 52"), "history": history(),
                  "alone": alone("part-4.parquet", "id = 41"),
                  "detail": spark.sql(f"DESCRIBE DETAIL {table}").select("clusteringColumns", "tableFeatures", "numFiles").collect()[0].asDict()}}
old = [v for v, _, _ in out["before"]["history"]]
out["before"]["old"] = ids(version=min(old))
try:
    spark.sql(f"INSERT INTO {table} VALUES (-1)")
    out["constraint"] = "not enforced"
except Exception as e:
    out["constraint"] = str(e)[:2000]
spark.sql(f"INSERT INTO {table} VALUES (1000), (1001), (1002)")
spark.sql(f"DELETE FROM {table} WHERE id = 1001 OR id = 41")
spark.sql(f"OPTIMIZE {table}")
out["after"] = {"ids": ids(), "history": history()}
print(json.dumps(out, default=str), flush=True)
