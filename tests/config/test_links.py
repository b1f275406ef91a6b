"""Links in fleet.yaml: every scheme, what a mistake is told, and where simulated vehicles send to."""

import pytest

from fleet.config import ConfigError
from fleet.simulate.processes import SimulatorError
from fleet.simulate.standalone import first_link

EVERY_KIND = [
    "udpin://0.0.0.0:14550",
    "udpout://10.0.0.7:14550",
    "tcpin://[::]:5760",
    "tcpout://router.local:5760",
    "serial:///dev/serial/by-id/usb-Holybro_Radio:57600",
]


def linked(link):
    def edit(data):
        for vehicle in data["vehicles"]:
            vehicle["link"] = link

    return edit


def test_a_vehicle_may_have_a_link_of_every_kind(sandbox):
    sandbox.change(linked(EVERY_KIND))
    assert list(sandbox.load().links["cw-1"]) == EVERY_KIND


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("tcp://127.0.0.1:5760", "It must be a link: unknown scheme 'tcp'; use udpin://, udpout://, tcpin://"),
        (
            "serial:///dev/ttyACM0",
            "It must be a link: the baud rate is missing; write it as serial:///dev/ttyACM0:57600",
        ),
        ("tcpout://10.0.0.5", "It must be a link: the port is missing; write it as tcpout://127.0.0.1:5760"),
    ],
)
def test_a_mistake_in_a_link_is_told_with_its_place_and_the_fix(sandbox, link, says):
    sandbox.change(linked(link))
    with pytest.raises(ConfigError) as refused:
        sandbox.load()
    assert f"vehicles[0].link is {link!r}" in str(refused.value)
    assert says in str(refused.value)


def test_simulated_vehicles_send_to_the_first_link_that_waits_for_datagrams(sandbox):
    sandbox.change(linked(["serial:///dev/ttyACM0:57600", "udpin://0.0.0.0:14560"]))
    assert first_link(sandbox.load()) == ("127.0.0.1", 14560)


def test_without_such_a_link_the_simulator_says_what_it_needs(sandbox):
    sandbox.change(linked("serial:///dev/ttyACM0:57600"))
    with pytest.raises(SimulatorError, match="no vehicle has a `link: udpin://"):
        first_link(sandbox.load())
