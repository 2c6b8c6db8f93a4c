"""A process without a network can still talk to itself, and is the same user."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


def run(code: str) -> str:
    begin = "import os, socket\nfrom codex_audit.proofs.trainer.offline import cut_network\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + textwrap.dedent(code)],
        check=True, env=os.environ, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_another_host_cannot_be_asked_for() -> None:
    code = """
        cut_network()
        for ask in (
            lambda: socket.getaddrinfo("example.org", 80),
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9)),
        ):
            try:
                ask()
            except ConnectionRefusedError as error:
                print(error)
    """
    said = run(code).splitlines()
    assert [("example.org" in said[0]), ("192.0.2.1" in said[1])] == [True, True]
    assert all(line.startswith("the network is cut") for line in said)


def test_this_host_can_and_the_user_stays() -> None:
    code = """
        before = os.getuid()
        cut_network()
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname(), timeout=5)
            socket.getaddrinfo("localhost", 80)
            print(os.getuid() == before, client.getpeername() == server.getsockname())
    """
    assert run(code) == "True True"
