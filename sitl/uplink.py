"""Cold boxes on MQTT: each box is a client of its own, and keeps what it cannot send."""

from __future__ import annotations

import asyncio

import aiomqtt

from sitl.coldbox import BoxDevice
from sitl.spec import MqttSpec

RETRY_S = 1.0
"""wall seconds between attempts to reach the broker"""
POLL_S = 0.05
"""wall seconds between looks at an empty queue"""
TIMEOUT_S = 5.0


def topic(box_id: str) -> str:
    return f"coldwing/v1/boxes/{box_id}/samples"


async def publish_forever(device: BoxDevice, mqtt: MqttSpec) -> None:
    """Sends the queue oldest first, QoS 1; a sample leaves the queue when the broker has acknowledged it."""
    while True:
        try:
            async with aiomqtt.Client(
                mqtt.host,
                mqtt.port,
                username=mqtt.username,
                password=mqtt.password,
                identifier=f"{device.spec.box_id}-{device.boot_id[:8]}",
                timeout=TIMEOUT_S,
            ) as client:
                while True:
                    sample = device.peek()
                    if sample is None:
                        await asyncio.sleep(POLL_S)
                        continue
                    await client.publish(topic(device.spec.box_id), sample, qos=1)
                    device.sent(sample)
        except aiomqtt.MqttError:
            await asyncio.sleep(RETRY_S)
