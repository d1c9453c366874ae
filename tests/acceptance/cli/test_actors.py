"""`walnats actors remove`: an actor that is no longer in the code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import walnats
from walnats import EmbeddedServer

if TYPE_CHECKING:
    from tests.acceptance.cli.commands import Commands

ORDER = walnats.Event('order.placed', int)
ACTORS = walnats.Actors(walnats.Actor('ship', ORDER, print), walnats.Actor('bill', ORDER, print))


async def test_a_consumer_goes_with_what_only_it_kept(
    own_commands: Commands, own_server: EmbeddedServer
) -> None:
    remove = 'actors', 'remove', 'order.placed', 'ship'
    async with (
        ACTORS.connect(own_server.url) as worker,
        walnats.Events(ORDER).connect(worker) as events,
    ):
        await worker.register()
        await events.emit_many(ORDER, [1, 2, 3])
        async with walnats.Actors(walnats.Actor('bill', ORDER, print)).connect(worker) as biller:
            await biller.listen(burst=True, poll_delay=0.2)
        stream = await own_commands.run('status', '--json')
        assert stream.json['streams'][0]['messages'] == 3
        unasked = await own_commands.run(*remove)
        assert (unasked.code, 'pass --yes' in unasked.err) == (1, True)
        async with own_commands.terminal(*remove) as terminal:
            await terminal.expect('(it has 3 unsettled messages; ')
            terminal.type('y\n')
            assert await terminal.wait() == 0
        left = (await own_commands.run('status', '--json')).json
        assert left['streams'][0]['messages'] == 0
        assert [each['actor'] for each in left['consumers']] == ['bill']
    again = await own_commands.run(*remove, '--yes')
    assert (again.code, again.err.count('\n')) == (1, 1)
    assert "there is no actor 'ship' of event 'order.placed'" in again.err
