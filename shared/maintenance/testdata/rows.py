"""What another program finds in tables: rows.py deltars|spark FOLDER... prints one JSON list of [rows, sum(id), version] for each."""
import glob, json, os, sys

engine, folders = sys.argv[1], sys.argv[2:]
if engine == "deltars":
    from deltalake import DeltaTable
    import pyarrow.compute as pc

    def read(folder):
        t = DeltaTable(folder)
        ids = t.to_pyarrow_table(columns=["id"])["id"] if "deletionVectors" not in (t.protocol().reader_features or []) else None
        if ids is None:  # its own engine applies deletion vectors
            from deltalake import QueryBuilder
            r = QueryBuilder().register("t", t).execute("SELECT count(*) AS n, sum(id) AS s FROM t").read_all()
            r = r.to_pydict() if hasattr(r, "to_pydict") else {c: [v.as_py() for v in r[c]] for c in ("n", "s")}
            return [r["n"][0], r["s"][0], t.version()]
        return [len(ids), pc.sum(ids).as_py(), t.version()]
else:
    from pyspark.sql import SparkSession
    spark = (SparkSession.builder.master("local[1]").appName("lakestep")
             .config("spark.jars", ",".join(sorted(glob.glob(os.environ["LAKESTEP_TEST_SPARK"] + "/jars/*.jar"))))
             .config("spark.driver.memory", "1g").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
             .config("spark.databricks.delta.snapshotPartitions", "2").config("spark.sql.shuffle.partitions", "2")
             .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
             .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")

    def read(folder):
        n, s = spark.sql(f"SELECT count(*), sum(id) FROM delta.`{folder}`").collect()[0]
        version = spark.sql(f"DESCRIBE HISTORY delta.`{folder}` LIMIT 1").collect()[0]["version"]
        return [n, s, version]

print(json.dumps([read(f) for f in folders]))
if engine == "deltars":
    sys.stdout.flush()
    os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
