"""Link URLs: what is understood, and what is said to what is not."""

from __future__ import annotations

import pytest

from fleet.mavlink.urls import EXAMPLES, SCHEMES, LinkError, LinkUrl, parse_url


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("udpin://0.0.0.0:14550", LinkUrl("udpin", "0.0.0.0", 14550)),
        ("udpout://px4-7.local:14550/", LinkUrl("udpout", "px4-7.local", 14550)),
        ("tcpin://[::1]:5760", LinkUrl("tcpin", "::1", 5760)),
        ("tcpout://10.0.0.5:5760", LinkUrl("tcpout", "10.0.0.5", 5760)),
        ("serial:///dev/ttyACM0:57600", LinkUrl("serial", device="/dev/ttyACM0", baud=57600)),
        (
            "serial:///dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0:921600",
            LinkUrl("serial", device="/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0", baud=921600),
        ),
    ],
)
def test_a_link_url_is_understood_and_written_back(url: str, means: LinkUrl) -> None:
    assert parse_url(url) == means
    assert str(means) == url.rstrip("/")


def test_every_scheme_has_an_example_that_can_be_copied() -> None:
    assert set(EXAMPLES) == set(SCHEMES)
    assert [parse_url(EXAMPLES[scheme]).scheme for scheme in SCHEMES] == list(SCHEMES)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tcp://127.0.0.1:1", "unknown scheme 'tcp'; use udpin://, udpout://, tcpin://, tcpout:// or serial://"),
        ("tcpin://127.0.0.1", "the port is missing; write it as tcpin://127.0.0.1:5760"),
        ("tcpout://:5760", "the host is missing"),
        ("udpin://127.0.0.1:0", "the port is missing"),
        ("tcpin://me@127.0.0.1:5760", "only a host and a port belong there; write tcpin://127.0.0.1:5760"),
        ("udpin://127.0.0.1:14550?x=1", "only a host and a port belong there; write udpin://127.0.0.1:14550"),
        ("serial:///dev/ttyACM0", "the baud rate is missing; write it as serial:///dev/ttyACM0:57600"),
        ("serial:///dev/ttyACM0:", "the baud rate is missing"),
        ("serial:///dev/serial/by-path/pci-0000:00:14.0-port0", "'14.0-port0' is no baud rate"),
        ("serial:///dev/ttyACM0:fast", "'fast' is no baud rate"),
        ("serial:///dev/ttyACM0:57", "57 is no baud rate; usual ones are 57600, 115200 and 921600"),
        ("serial:///dev/:57600", "the device is missing"),
        ("serial://ttyACM0:57600", "not absolute (three slashes)"),
        ("serial:/dev/ttyACM0:57600", "not absolute (three slashes)"),
    ],
)
def test_a_url_that_is_none_is_refused_with_the_fix(url: str, says: str) -> None:
    with pytest.raises(LinkError) as refused:
        parse_url(url)
    assert says in str(refused.value)
    assert url in str(refused.value)
