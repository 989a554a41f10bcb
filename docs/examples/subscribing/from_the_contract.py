"""Reads all that is for subscribers, knowing the contract alone: python from_the_contract.py KAFKA TENANT CONTRACT.

CONTRACT is the folder of `asyncapi.yaml`. Each entry is held against its schemas before it counts as read.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import Consumer, KafkaException, Message
from jsonschema import Draft202012Validator

KAFKA, TENANT, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
CONTRACT = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text(encoding="utf-8"))


def followed(reference: dict[str, str]) -> Any:
    """What a reference leads to: a thing of the document, or a schema beside it."""
    where = reference["$ref"]
    if not where.startswith("#/"):
        return Draft202012Validator(json.loads((FOLDER / where).read_text(encoding="utf-8")))
    found = CONTRACT
    for name in where.removeprefix("#/").split("/"):
        found = found[name]
    return found


def messages_by_topic() -> dict[str, dict[str, Any]]:
    """The one message of each channel that is for subscribers."""
    return {
        channel["address"].replace("{tenant}", TENANT): followed(*channel["messages"].values())
        for channel in CONTRACT["channels"].values()
        if "subscribers" in [followed(tag)["name"] for tag in channel["tags"]]
    }


def read(entry: Message, message: dict[str, Any]) -> None:
    """Raises what is not as the contract says."""
    headers = {name: text.decode() for name, text in entry.headers()}
    value = json.loads(entry.value())
    followed(message["headers"]).validate(headers)
    followed(message["payload"]).validate(value)
    content = value.get("content", {"encoding": "none"})
    name = content["encoding"].removeprefix("custody/").removesuffix("+json")
    if (FOLDER / f"schemas/content/{name}.json").exists() and "key_id" not in content:
        followed({"$ref": f"schemas/content/{name}.json"}).validate(json.loads(base64.b64decode(content["data"])))
    print(entry.topic().split(".")[2], headers["ce_type"], headers["ce_id"], flush=True)


def main() -> None:
    messages = messages_by_topic()
    settings = {"auto.offset.reset": "earliest", "enable.auto.offset.store": False}
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": f"{TENANT}.audit", **settings})
    consumer.subscribe([*messages])
    try:
        while True:
            entry = consumer.poll(1.0)
            if entry is None:
                continue
            if entry.error():
                raise KafkaException(entry.error())
            read(entry, messages[entry.topic()])
            consumer.store_offsets(entry)  # only now: what was not read to the end comes again
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
