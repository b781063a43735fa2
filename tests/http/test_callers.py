"""Whom an address stands for."""

from ipaddress import ip_network

import pytest

from app.http.callers import Callers, Network

PROXIES = ("10.0.0.0/8", "fd00::/8")


def name(peer: str | None, *forwarded: str, proxies: tuple[str, ...] = PROXIES) -> str:
    networks: list[Network] = [ip_network(proxy) for proxy in proxies]
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return Callers(networks).name({"client": (peer, 1) if peer is not None else None, "headers": headers})


def test_without_proxies_the_peer_is_the_caller_whatever_it_says() -> None:
    assert name("10.0.0.1", "1.2.3.4", proxies=()) == "10.0.0.1"
    assert name("192.0.2.7", "1.2.3.4") == "192.0.2.7"


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        (("192.0.2.7",), "192.0.2.7"),
        (("1.2.3.4, 192.0.2.7",), "192.0.2.7"),  # the caller may have said so itself
        (("1.2.3.4", "192.0.2.7"), "192.0.2.7"),  # a header of its own, as haproxy adds it
        (("1.2.3.4, 192.0.2.7, 10.0.0.9",), "192.0.2.7"),  # two proxies of ours
        (("10.0.0.8,10.0.0.9",), "10.0.0.8"),
        (("192.0.2.7:5000",), "192.0.2.7"),
        (("[2001:db8::7]:5000",), "2001:db8::/64"),
        ((), "10.0.0.1"),
        (("",), "10.0.0.1"),
        (("1.2.3.4, unknown",), "10.0.0.1"),
        (("1.2.3.4, unknown, 10.0.0.9",), "10.0.0.9"),
        (("\xe9",), "10.0.0.1"),
    ],
)
def test_a_proxy_is_believed_as_far_as_it_knows(forwarded: tuple[str, ...], caller: str) -> None:
    assert name("10.0.0.1", *forwarded) == caller


def test_addresses_of_one_subscriber_are_one_caller() -> None:
    assert name("2001:db8::1") == name("2001:db8::2:3") == "2001:db8::/64"
    assert name("2001:db8:0:1::1") != name("2001:db8::1")
    assert name("::ffff:192.0.2.7") == name("192.0.2.7") == "192.0.2.7"
    assert name("::ffff:10.0.0.1", "192.0.2.7") == "192.0.2.7"


def test_a_peer_without_an_address_is_a_caller_like_any_other() -> None:
    assert name(None) == ""
    assert name("testclient") == "testclient"
