"""dlt: a Kafka topic of Avro messages into a Delta table. dlt_kafka.py BROKER REGISTRY TOPIC OUT arrow|rows|source [SOURCES]

dlt's Kafka source is in no package either: `source` takes it from SOURCES, a checkout of github.com/dlt-hub/verified-sources. The other two
are resources as dlt's documentation has them: confluent_kafka's consumer and its AvroDeserializer, read up to the end of the partitions, with
the offsets in the resource's state. `rows` yields lists of dicts, `arrow` yields Arrow tables, which dlt passes on without looking at each row."""
import sys
from datetime import datetime, timezone

import dlt
import pyarrow as pa
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

broker, registry, topic, out, way = sys.argv[1:6]
BATCH = 20_000
SCHEMA = pa.schema([
    ("id", pa.int64()), ("quantity", pa.int32()), ("amount", pa.decimal128(12, 2)), ("ratio", pa.float64()), ("active", pa.bool_()), ("customer", pa.string()),
    ("product", pa.string()), ("note", pa.string()), ("day", pa.date32()), ("changed_at", pa.timestamp("us", "UTC")),
    ("kafka_partition", pa.int32()), ("kafka_offset", pa.int64()), ("kafka_timestamp", pa.timestamp("ms", "UTC")), ("kafka_key", pa.string()),
])
deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
context = SerializationContext(topic, MessageField.VALUE)


def row(message):
    value = deserialize(message.value(), context)
    value["kafka_partition"], value["kafka_offset"], value["kafka_key"] = message.partition(), message.offset(), message.key().decode()
    value["kafka_timestamp"] = message.timestamp()[1] if way == "arrow" else datetime.fromtimestamp(message.timestamp()[1] / 1000, timezone.utc)
    return value


def consumer():
    return Consumer({"bootstrap.servers": broker, "group.id": "bench-dlt", "auto.offset.reset": "earliest", "enable.auto.commit": False})


@dlt.resource(name="orders", write_disposition="append", table_format="delta")
def messages():
    client = consumer()
    offsets = dlt.current.resource_state().setdefault("offsets", {})
    left = {}
    for p in client.list_topics(topic).topics[topic].partitions:
        low, high = client.get_watermark_offsets(TopicPartition(topic, p))
        left[p] = high - offsets.setdefault(str(p), low)
    client.assign([TopicPartition(topic, p, offsets[str(p)]) for p in left])
    while any(n > 0 for n in left.values()):
        batch = client.consume(BATCH, timeout=1)
        for m in batch:
            if m.error():
                raise RuntimeError(m.error())
            offsets[str(m.partition())] = m.offset() + 1
            left[m.partition()] -= 1
        rows = [row(m) for m in batch]
        if rows:
            yield pa.Table.from_pylist(rows, SCHEMA) if way == "arrow" else rows
    client.close()


def source():
    sys.path.insert(0, sys.argv[6] + "/sources")
    from kafka import kafka_consumer

    resource = kafka_consumer(topic, credentials=consumer(), msg_processor=row, batch_size=BATCH)
    resource.apply_hints(table_name="orders", write_disposition="append", table_format="delta")
    return resource


pipeline = dlt.pipeline("bench", pipelines_dir=out + "/state", dataset_name="bronze", destination=dlt.destinations.filesystem(bucket_url=out))
pipeline.run(source() if way == "source" else messages())
