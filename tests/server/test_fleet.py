"""MDEVREG_FLEET never goes back."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from mdevreg import subjects
from mdevreg_server.broker import Broker
from mdevreg_server.bus import connect, ensure_streams
from mdevreg_server.fleet import Fleet
from mdevreg_server.publication import Publication
from support.processes import Program, StartCli


def _state(position: int) -> Publication:
    return Publication("host-1", "epoch-1", position, "0" * 64, position, b"{}")


def test_an_older_state_of_a_host_does_not_overtake_a_newer_one(nats_server: Broker) -> None:
    """A receipt that was asked for may be newer than the lot that was on its way; it stays."""

    async def published() -> str:
        client = await connect(nats_server.url, creds=None, timeout_s=5, say=lambda _: None)
        js = client.jetstream()
        _, info = await ensure_streams(js)
        fleet = Fleet(client, js, info)
        for position in (5, 3):
            await fleet.publish([_state(position)])
        last = await js.get_last_msg(subjects.FLEET_STREAM, subjects.fleet_host("host-1"))
        await client.close()
        return str((last.headers or {})[subjects.POSITION_HEADER])

    assert asyncio.run(published()) == "5"


def test_ctrl_c_while_the_broker_is_away_ends_at_once(start_cli: StartCli, engine: sa.Engine) -> None:
    """Not after the connection's time-out; nothing has begun, so it is a clean end."""
    registry: Program = start_cli(
        ["mdevreg-server", "serve", "--database", _url(engine), "--nats", "nats://127.0.0.1:1"]
    )
    registry.wait_for("broker.error")
    assert registry.interrupt(timeout_s=4) == 0
    assert "Traceback" not in registry.output


def _url(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)
