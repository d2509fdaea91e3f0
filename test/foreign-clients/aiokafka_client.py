"""What the tests ask of aiokafka, one command each; answers are JSON lines.

list                              topics with their partitions
produce TOPIC COUNT               records k0:v0, k1:v1, ... with a header; acknowledged by all, idempotent
consume TOPIC COUNT               the records from the start, without a group
member GROUP TOPIC                joins, prints assignments and records, commits what it printed; ends on SIGTERM
offsets GROUP TOPIC               committed offset of every partition
"""

import asyncio
import json
import signal
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient


def tell(**fields):
    print(json.dumps(fields), flush=True)


async def list_topics(brokers):
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        for topic in await admin.describe_topics():
            tell(topic=topic["topic"], partitions=len(topic["partitions"]))
    finally:
        await admin.close()


async def produce(brokers, topic, count):
    producer = AIOKafkaProducer(bootstrap_servers=brokers, enable_idempotence=True, compression_type="gzip")
    await producer.start()
    try:
        for index in range(int(count)):
            sent = await producer.send_and_wait(
                topic, key=f"k{index}".encode(), value=f"v{index}".encode(), headers=[("from", b"aiokafka")]
            )
            tell(partition=sent.partition, offset=sent.offset)
    finally:
        await producer.stop()


async def consume(brokers, topic, count):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        for _ in range(int(count)):
            record = await consumer.getone()
            tell(
                key=record.key.decode() if record.key else None,
                value=record.value.decode(),
                headers={name: value.decode() for name, value in record.headers},
            )
    finally:
        await consumer.stop()


class Told(ConsumerRebalanceListener):
    async def on_partitions_revoked(self, revoked):
        tell(revoked=sorted(tp.partition for tp in revoked))

    async def on_partitions_assigned(self, assigned):
        tell(assigned=sorted(tp.partition for tp in assigned))


async def member(brokers, group, topic):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=300,
        metadata_max_age_ms=2000,
    )
    consumer.subscribe([topic], listener=Told())
    await consumer.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        while not stop.is_set():
            batches = await consumer.getmany(timeout_ms=200)
            for partition, records in batches.items():
                for record in records:
                    tell(partition=partition.partition, value=record.value.decode())
            if batches:
                await consumer.commit()
    finally:
        await consumer.stop()


async def offsets(brokers, group, topic):
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(group)
        for partition, entry in sorted(committed.items()):
            if partition.topic == topic:
                tell(partition=partition.partition, offset=entry.offset)
    finally:
        await admin.close()


COMMANDS = {"list": list_topics, "produce": produce, "consume": consume, "member": member, "offsets": offsets}

if __name__ == "__main__":
    command, brokers, *rest = sys.argv[1:]
    asyncio.run(COMMANDS[command](brokers, *rest))
