"""The cold boxes' samples from MQTT: each message is checked and delivered once, or refused with a reason.

Topic `coldwing/v1/boxes/{box_id}/samples`, QoS 1, JSON by configs/schemas/box_sample.schema.json. The broker keeps the
session under a stable client id, so what is sent while the controller restarts is delivered afterwards. Whether a
sample is believable is not decided here but in `missions.coldchain`.
"""

from fleet.coldbox.feed import FIRST_RETRY_S, LAST_RETRY_S, MOST_AT_ONCE, ColdBoxFeed
from fleet.coldbox.messages import MAX_PAYLOAD, Refusal, Refused, read_sample, sign
from fleet.coldbox.replay import MAX_BOOTS, WINDOW, ReplayGuard

__all__ = [
    "FIRST_RETRY_S",
    "LAST_RETRY_S",
    "MAX_BOOTS",
    "MAX_PAYLOAD",
    "MOST_AT_ONCE",
    "WINDOW",
    "ColdBoxFeed",
    "Refusal",
    "Refused",
    "ReplayGuard",
    "read_sample",
    "sign",
]
