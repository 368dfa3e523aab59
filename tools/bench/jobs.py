"""The jobs: what fills the source, and each engine's way of loading it. The values of a row are those of verify.py and topic_test.go."""
import glob
import os
import shutil
import subprocess

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ("id bigint PRIMARY KEY, quantity int, amount numeric(12,2), ratio double precision, active boolean, customer text, product text, note text, "
           "day date, changed_at timestamptz")
VALUES = """id, id % 100, (id * 7919 % 10000000) / 100.0, (id % 1000) / 8.0, id % 3 = 0, 'customer-' || id % 100000,
    'product-' || left(md5(id::text), 12), CASE WHEN id % 4 > 0 THEN 'a note on order ' || id END, date '2020-01-01' + (id % 2000)::int,
    timestamptz '2020-01-01 00:00:00Z' + id * interval '1.000003 s'"""

# 1,000 changes a transaction: 600 inserts, and of the rows of the one before 300 updates and 100 deletes.
MAKE_CHANGES = f"""
CREATE PROCEDURE make_changes(transactions bigint) LANGUAGE plpgsql AS $$
DECLARE first bigint;
BEGIN
    SET enable_seqscan = off;
    FOR t IN 1 .. transactions LOOP
        first := t * 600;
        INSERT INTO orders SELECT {VALUES} FROM generate_series(first, first + 599) AS id;
        UPDATE orders SET quantity = quantity + 1000, amount = amount + 1 WHERE id BETWEEN first - 600 AND first - 301;
        DELETE FROM orders WHERE id BETWEEN first - 300 AND first - 201;
        COMMIT;
    END LOOP;
END $$"""


class Unavailable(Exception):
    """An engine, or a way of it, cannot be had here."""


class Job:
    """`engines` are the names of those that do it, lakestep first; of the others the second part says in which way."""

    def __init__(self, options, servers):
        self.options, self.servers = options, servers
        self.environment = {
            **os.environ, "BENCH_POSTGRES": servers.get("postgres", ""), "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR",
            "DLT_DATA_DIR": os.path.join(options.work, "dlt"),
        }

    def sql(self, *statements):
        connection = psycopg2.connect(self.servers["postgres"])
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for s in statements:
                    cursor.execute(s)
        finally:
            connection.close()

    def fill(self):
        """Fills the source."""

    def prepare(self, engine, out):
        """What comes before a run and is not measured."""

    def command(self, engine, out):
        """The command that loads into the folder `out`."""
        raise NotImplementedError

    def written(self, engine, out):
        """Format and path of what an engine has written."""
        return "delta", os.path.join(out, "bronze", "orders")

    def lakestep(self, out, *arguments):
        return [self.options.lakestep, "run", os.path.join(HERE, "pipelines", self.name), "--lake", out, *arguments]

    def peer(self, script, *arguments):
        return [os.path.join(self.options.tools, "bench/venv/bin/python"), os.path.join(HERE, "peers", script), *arguments]

    def sources(self, what):
        if not self.options.dlt_sources:
            raise Unavailable(f"dlt's {what} source is on no package registry: `dlt init` copies it from GitHub. "
                              "DLT_SOURCES=FOLDER names a checkout of github.com/dlt-hub/verified-sources")
        return self.options.dlt_sources


class Snapshot(Job):
    """A whole table."""
    name, servers_flag, unit = "snapshot", "-postgres", "rows"
    engines = ["lakestep", "dlt connectorx", "dlt pyarrow", "sling duckdb", "sling go"]
    more_engines = []
    notes = ["Sling writes Parquet files, no table: less than the others do. Its program is the newest that a wheel on PyPI holds; later ones are fetched from "
             "GitHub, SLING=PATH names one"]

    def fill(self):
        self.sql(f"CREATE TABLE orders ({COLUMNS})", f"INSERT INTO orders SELECT {VALUES} FROM generate_series(0::bigint, {self.options.rows - 1}) AS id",
                 "VACUUM (FREEZE, ANALYZE) orders", "CHECKPOINT")
        os.sync()  # else what was just written is still on its way to the disk while the first engine runs

    def count(self):
        return self.options.rows

    def command(self, engine, out):
        url = self.servers["postgres"]
        if engine == "lakestep":
            return self.lakestep(out)
        if engine.startswith("sling "):  # it writes no Delta tables, but Parquet: by a DuckDB that it starts, or by code of its own
            arguments = ["run", "--src-conn", url, "--src-stream", "public.orders", "--tgt-object", f"file://{out}/orders.parquet"]
            return ["env", *sling_environment(self.options, engine), sling(self.options), *arguments]
        return self.peer("dlt_postgres.py", url, out, engine.removeprefix("dlt "), "100000")

    def written(self, engine, out):
        return ("parquet", out) if engine.startswith("sling ") else super().written(engine, out)


class CDC(Job):
    """The changes that lie in a slot. Each engine finds the same ones in a slot of its own, which is copied anew for each run."""
    name, servers_flag, unit = "cdc", "-postgres", "changes"
    engines = ["lakestep", "dlt pg_replication"]
    more_engines = []
    notes = ["dlt appends the changes, in batches of 100,000, which takes two settings that are not its own (peers/dlt_cdc.py). Sling reads no changes "
             "into files"]

    def fill(self):
        self.sql(f"CREATE TABLE orders ({COLUMNS})", f"INSERT INTO orders SELECT {VALUES} FROM generate_series(0::bigint, 599) AS id", "CREATE PUBLICATION bench FOR TABLE orders",
                 "SELECT pg_create_logical_replication_slot('template_dlt', 'pgoutput')", MAKE_CHANGES)
        if not self.options.engines or "lakestep" in self.options.engines:  # its first run makes its slot, and loads the first 600 rows
            self.lake = os.path.join(self.options.work, "lake-before")
            subprocess.run(self.lakestep(self.lake), env=self.environment, check=True, stdout=subprocess.DEVNULL)
            self.sql("SELECT pg_copy_logical_replication_slot('bench_lakestep', 'template_lakestep')")
        self.sql(f"CALL make_changes({self.options.changes // 1000})")

    def count(self):
        return self.options.changes // 1000 * 1000

    def prepare(self, engine, out):
        if engine == "lakestep":
            shutil.copytree(self.lake, out, dirs_exist_ok=True)
        name = engine.split()[0]
        self.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'bench_{name}'",
                 f"SELECT pg_copy_logical_replication_slot('template_{name}', 'bench_{name}')")

    def command(self, engine, out):
        if engine == "lakestep":
            return self.lakestep(out)
        return self.peer("dlt_cdc.py", self.servers["postgres"], out, "bench_dlt", self.sources("pg_replication"))


class Kafka(Job):
    """All messages of a topic."""
    name, servers_flag, unit = "kafka", "-kafka", "messages"
    engines = ["lakestep", "dlt arrow"]
    more_engines = ["dlt rows", "dlt source"]  # one by one through dlt's normalizer: these take long
    notes = ["dlt arrow is a resource of ours as dlt's documentation has them, over confluent-kafka (peers/dlt_kafka.py); dlt's own Kafka source is on no package "
             "registry: ENGINES='lakestep,dlt source' with DLT_SOURCES. Sling reads no Kafka"]

    def fill(self):
        subprocess.run([os.path.join(self.options.tools, "bench/services"), "-test.run", "^$", "-test.bench", "^BenchmarkProduce$", "-test.benchtime", "1x",
                        "-kafka-address", self.servers["kafka"], "-registry-url", self.servers["registry"], "-topic", "orders",
                        "-messages", str(self.options.messages)], check=True, stdout=subprocess.DEVNULL)

    def count(self):
        return self.options.messages

    def command(self, engine, out):
        broker, registry = self.servers["kafka"], self.servers["registry"]
        if engine == "lakestep":
            return self.lakestep(out, "--var", "broker=" + broker, "--var", "registry=" + registry)
        way = engine.removeprefix("dlt ")
        return self.peer("dlt_kafka.py", broker, registry, "orders", out, way, *([self.sources("kafka")] if way == "source" else []))


JOBS = {j.name: j for j in (Snapshot, CDC, Kafka)}


def sling(options):
    """The program of the wheel sling-linux-amd64, or another one that was asked for."""
    path = options.sling
    if not path:
        found = glob.glob(os.path.join(options.tools, "bench/venv/lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64"))
        path = found[0] if found else ""
    if not path or not os.path.isfile(path):
        raise Unavailable("there is no program of Sling: its wheel sling-linux-amd64 has one for Linux on x86-64 only. SLING=PATH names another one")
    return path


def sling_environment(options, engine):
    """Sling fetches DuckDB and an extension from the net, unless it is told where they are: setup.sh has them from PyPI."""
    yield from ("SLING_DISABLE_TELEMETRY=true", f"SLING_HOME_DIR={options.work}/sling", f"HOME={options.tools}/bench/home")
    if engine == "sling go":
        yield "SLING_DUCKDB_COMPUTE=false"
    else:
        yield from (f"DUCKDB_PATH={options.tools}/bench/venv/bin/duckdb", "DUCKDB_USE_INSTALLED_EXTENSIONS=true")
