"""Fills a Kafka of your own with the contract's samples: python publish_samples.py KAFKA CONTRACT.

CONTRACT is the folder of `asyncapi.yaml`. Topics of the tenant `example-life` are created where they are missing.
"""

import json
import sys
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

KAFKA, FOLDER = sys.argv[1], Path(sys.argv[2])
found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "samples").glob("*.json"))]
samples = [one for one in found if one["topic"].startswith("custody.example-life.")]

admin = AdminClient({"bootstrap.servers": KAFKA})
missing = {one["topic"] for one in samples} - admin.list_topics().topics.keys()
for created in admin.create_topics([NewTopic(topic, 1, 1) for topic in sorted(missing)]).values() if missing else ():
    created.result()

producer = Producer({"bootstrap.servers": KAFKA, "enable.idempotence": True})
for one in samples:
    producer.produce(one["topic"], key=one["key"], headers=one["headers"], value=json.dumps(one["value"]))
if producer.flush(30):
    sys.exit("not all samples were taken: is Kafka there?")
print(f"{len(samples)} entries")
