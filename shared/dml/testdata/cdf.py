"""What delta-rs, or Spark with "spark" as argument, makes of change data feeds. [[path, from, to], ...] on stdin gives on stdout for each a list of
rows, a row being the texts of its values by column, in the order of the columns' names and without the time, sorted; or the text of an error."""
import glob, json, os, sys


def deltars(path, first, last):
    from deltalake import DeltaTable

    import pyarrow

    return pyarrow.table(DeltaTable(path).load_cdf(starting_version=first, ending_version=last).read_all()).to_pylist()


def spark():
    from pyspark.sql import SparkSession

    session = (SparkSession.builder.master("local[2]").config("spark.jars", ",".join(sorted(glob.glob(os.environ["LAKESTEP_TEST_SPARK"] + "/jars/*.jar"))))
               .config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
               .config("spark.databricks.delta.snapshotPartitions", "2").config("spark.driver.memory", "1g")
               .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
               .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")).getOrCreate()
    session.sparkContext.setLogLevel("OFF")

    def rows(path, first, last):
        frame = (session.read.format("delta").option("readChangeFeed", "true").option("startingVersion", first).option("endingVersion", last)
                 .load(path))
        return [r.asDict(recursive=True) for r in frame.collect()]

    return rows


read = spark() if sys.argv[1:] == ["spark"] else deltars
out = []
for request in json.load(sys.stdin):
    try:
        rows = read(*request)
        for r in rows:
            del r["_commit_timestamp"]
        out.append(sorted([[None if r[c] is None else str(r[c]) for c in sorted(r)] for r in rows], key=json.dumps))
    except Exception as e:
        out.append(f"{type(e).__name__}: {str(e)[:300]}")
json.dump(out, sys.stdout)
if "spark" not in sys.argv:
    sys.stdout.flush()
    os._exit(0)  # delta-rs's threads sometimes abort a regular exit, after all work is done
