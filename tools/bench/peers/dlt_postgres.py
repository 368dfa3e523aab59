"""dlt: a PostgreSQL table into a Delta table. dlt_postgres.py URL OUT BACKEND [CHUNK]"""
import sys

import dlt
from dlt.sources.sql_database import sql_table

url, out, backend, chunk = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
table = sql_table(
    credentials=url.replace("postgres://", "postgresql+psycopg2://"), table="orders", schema="public", backend=backend, chunk_size=chunk,
    reflection_level="full_with_precision",
    backend_kwargs={"return_type": "arrow_stream"} if backend == "connectorx" else None,  # otherwise the whole table would be in memory
)
pipeline = dlt.pipeline("bench", pipelines_dir=out + "/state", dataset_name="bronze", destination=dlt.destinations.filesystem(bucket_url=out))
pipeline.run(table, write_disposition="append", table_format="delta")
