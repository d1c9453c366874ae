"""The command line: `walnats run`, `walnats status` and the rest.

It is thin: each command is a module of its own, which reads the options, calls the library and
shows what came of it.

- `_app.py`: the program, its exit codes, and how errors are shown.
- `_server.py`: the options that say which NATS to connect to, the same for each command;
  `_server_options.py` is what they come to.
- `_target.py`: finds what MODULE:NAME stands for.
- `_output.py`: tables, JSON and colours, or none where the output is piped.
- `_connect.py` connects, where no declarations are needed; `_stop.py` ends what runs until Ctrl-C.
- `_units.py`, `_payload.py`, `_letters.py`: durations and sizes, payloads, dead letters for people.
- `_reference.py`: the page of the documentation about all commands.

`run.py` is the largest of them. It runs workers in processes of their own:

- `_supervisor.py` has them all, and passes signals and changes of code (`_reload.py`) on to them.
- `_slot.py` keeps one of them running: when its process dies, `_restarts.py` says what comes next.
- `_process.py` is one process, as the supervisor sees it; `_child.py` is what runs in it;
  `_control.py` is what the two say to each other.
- `_health.py` and `_metrics.py` tell over HTTP how all of them are; `_logs.py` is for all of them.

It needs the extra `cli`.
"""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from ._app import run  # noqa: PLC0415 -- without the extra there is none
    except ModuleNotFoundError as error:
        package = (error.name or '').partition('.')[0]
        if package in {'', 'walnats'}:
            raise
        sys.exit(
            f"walnats: the command line needs the package '{package}': pip install 'walnats[cli]'"
        )
    run()
