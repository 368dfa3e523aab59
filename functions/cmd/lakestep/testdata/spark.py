"""What Spark makes of a lake. It reads one request, a JSON object, from stdin, and prints one JSON object:

{"lake", "tables": {name: SQL of a checksum over {table}}, "feeds": [name], "insert": SQL over {table:name}, "models": {file: SQL}}

Models run on temp views of the tables ("silver.x" is silver_x); bronze views have a _row.
"""
import glob, json, os, re, sys, time

from pyspark.sql import SparkSession

request, lake = json.load(sys.stdin), None
lake = request["lake"]
began = time.time()
spark = (SparkSession.builder.master("local[2]").appName("lakestep")
         .config("spark.jars", ",".join(sorted(glob.glob(os.environ["LAKESTEP_TEST_SPARK"] + "/jars/*.jar"))))
         .config("spark.driver.memory", "2g").config("spark.sql.shuffle.partitions", "2")
         .config("spark.sql.session.timeZone", "UTC").config("spark.sql.ansi.enabled", "true")
         .config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
         .config("spark.databricks.delta.snapshotPartitions", "2").config("spark.sql.codegen.wholeStage", "false")
         .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
         .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
out = {"seconds": {"start": time.time() - began}, "tables": {}, "feeds": {}, "models": {}}


def path(name):
    return os.path.join(lake, *name.split(".", 1))


def timed(what, fn):
    start = time.time()
    fn()
    out["seconds"][what] = round(time.time() - start, 1)


def tables():
    for name, sql in request["tables"].items():
        rows = spark.sql(sql.replace("{table}", f"delta.`{path(name)}`")).collect()[0]
        out["tables"][name] = [int(rows[0]), int(rows[1] or 0)]


def feeds():
    for name in request["feeds"]:
        changes = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0).load(path(name))
        out["feeds"][name] = {r[0]: r[1] for r in changes.groupBy("_change_type").count().collect()}


def insert():
    spark.sql(re.sub(r"\{table:([a-z_.]+)\}", lambda m: f"delta.`{path(m[1])}`", request["insert"]))


def models():
    for name in request["tables"]:
        frame = spark.read.format("delta").load(path(name))
        if name.startswith("bronze."):
            frame = frame.selectExpr("*", "monotonically_increasing_id() AS _row")
        frame.createOrReplaceTempView(name.replace(".", "_"))
    for file, sql in request["models"].items():
        try:
            frame = spark.sql(sql)
            out["models"][file] = {"types": {f.name: f.dataType.simpleString() for f in frame.schema.fields}, "rows": frame.count()}
        except Exception as e:
            out["models"][file] = {"error": str(e).split("\n\nJVM")[0][:2000]}


for part in (tables, feeds, insert, models):
    if request.get(part.__name__):
        timed(part.__name__, part)
print(json.dumps(out))
