"""Stands in for PX4's program and its clients in tests of the launcher: small Python programs in a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from sitl.wire.dialect import Packer
from sitl.wire.streams import PREARM_OK

READY = f"""#!{sys.executable} -SE
import json, os, socket, sys, time
index = int(sys.argv[sys.argv.index("-i") + 1])
print("hello from", index, flush=True)
told = {{k: v for k, v in os.environ.items() if k.startswith(("PX4_", "XDG_DATA"))}}
with open("told.tmp", "w") as file:
    json.dump(told, file)
os.rename("told.tmp", "told.json")
EXTRA
FRAMES = SAID
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    udp.sendto(FRAMES[index], ("127.0.0.1", PORT))
    time.sleep(0.02)
"""
CLIENT = """#!/bin/sh
case "$*" in *NO_SUCH*) echo "Parameter NO_SUCH not found."; exit 1;; esac
echo "$(basename "$0") $*" >> "$(dirname "$0")/clients.log"
echo done
"""


def program(folder: Path, text: str = "#!/bin/sh\n") -> Path:
    """A `px4` with its start-up scripts beside it."""
    (folder / "bin").mkdir(parents=True)
    (folder / "etc" / "init.d-posix").mkdir(parents=True)
    (folder / "etc" / "init.d-posix" / "rcS").touch()
    return _executable(folder / "bin" / "px4", text)


def ready_px4(folder: Path, port: int, *, indices: range, extra: str = "") -> Path:
    """A `px4` that says to that port that it is ready, after `extra` (Python that knows `index`); clients beside it.

    It notes what its environment told it in `told.json`, and the clients in `bin/clients.log`.
    """
    frames = {i: Packer(i + 1).pack("SYS_STATUS", {"onboard_control_sensors_health": PREARM_OK}) for i in indices}
    text = READY.replace("SAID", repr(frames)).replace("PORT", str(port)).replace("EXTRA", extra)
    path = program(folder, text)
    for client in ("param", "failure", "sensor_mag_sim"):
        _executable(path.parent / f"px4-{client}", CLIENT)
    return path


def _executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path
