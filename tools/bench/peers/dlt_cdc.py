"""dlt: the changes in a replication slot into a Delta table, a row each. dlt_cdc.py URL OUT SLOT SOURCES, where SOURCES is a checkout of
github.com/dlt-hub/verified-sources: `dlt init pg_replication filesystem` copies the source from there, and no package has it.

Two settings are not dlt's own. By default a batch ends after 1,000 changes, each batch connects anew, and the server then decodes the slot from
its beginning: batches of 100,000 do that less often. And dlt would merge the changes into a copy of the table; here they are appended, which is
less work and what the other engine does."""
import sys

import dlt

url, out, slot, sources = sys.argv[1:5]
sys.path.insert(0, sources + "/sources")
from pg_replication import helpers, replication_resource  # noqa: E402

helpers.get_pub_ops = lambda *_: {"insert": True, "update": False, "delete": False, "truncate": False}  # what is only appended to is not merged
changes = replication_resource(slot, "bench", credentials=url.replace("postgres://", "postgresql://"), target_batch_size=100_000)
pipeline = dlt.pipeline("bench", pipelines_dir=out + "/state", dataset_name="bronze", destination=dlt.destinations.filesystem(bucket_url=out))
pipeline.run(changes, table_format="delta")
