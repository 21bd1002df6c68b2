"""What every command shares: exit codes, options, logging, bars, tables and lines on the screen.

rich is imported when something is shown, not before: `eotasks --help` and commands without bars do not wait for it.

Nothing reaches the screen but through here (a test looks): consoles of `new_console`, records of the log, stacks, what
argparse says of arguments, JSON and plain lines. All of it passes `eotasks.text`: no secret, nothing that a terminal
obeys.
"""

from __future__ import annotations

import argparse
import functools
import io
import logging
import os
import select
import sys
import textwrap
import threading
from collections.abc import Callable, Collection, Sequence
from enum import IntEnum
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TextIO, TypeAlias

from eotasks.errors import ConfigurationError, EOTasksError, is_of_interrupt, message_of, stack_of
from eotasks.text import harmless, json_text, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where commands, or the actions of one, are registered."""

_HELP_WIDTH = 120


class ExitCode(IntEnum):
    """What scripts can trust."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    """Also that of argparse for unknown options."""
    OWN_FAULT = 70
    """EX_SOFTWARE of sysexits.h."""
    INTERRUPTED = 130
    """128 + SIGINT, as a shell has it."""
    READER_GONE = 141
    """128 + SIGPIPE: ``| head`` has seen enough."""


# Options


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], ExitCode] | None,
    *,
    summary: str,
    description: str,
    epilog: str | Callable[[], str] = "",
    done: str = "done",
    failed: str | None = None,
) -> argparse.ArgumentParser:
    """Registers a command, or an action of one.

    :param run: What it does; errors of the project pass to :func:`run_command`. None for a command that has actions:
        these run.
    :param summary: One line for the list of commands.
    :param epilog: Examples, and what else is to be said below the options; a function is called when the help is
        asked for, and not before.
    :param done: What exit code 0 says.
    :param failed: What exit code 1 says; None where there is no part that could fail alone.
    :return: The parser, with ``--verbose`` and a line about exit codes.
    """
    codes = _exit_codes(done, failed)
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"{epilog}\n{codes}" if epilog and isinstance(epilog, str) else codes,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=not callable(epilog),
    )
    if callable(epilog):
        parser.add_argument("-h", "--help", action=_Help, examples=epilog)
    if run is not None:
        parser.add_argument("--verbose", action="store_true", help="log what goes on, and show the stack of an error")
        parser.set_defaults(run=run)
    return parser


class _Help(argparse.Action):
    """`--help`, with examples that are made when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, examples: Callable[[], str]) -> None:
        super().__init__(
            option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="show this help message and exit"
        )
        self._examples = examples

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - as argparse calls it
        values: str | Sequence[object] | None,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        parser.epilog = f"{self._examples()}\n{parser.epilog}"
        parser.print_help()
        parser.exit()


def _exit_codes(done: str, failed: str | None) -> str:
    meanings = {
        ExitCode.DONE: done,
        ExitCode.SOME_FAILED: failed,
        ExitCode.BAD_INPUT: "bad input",
        ExitCode.OWN_FAULT: "a fault of eotasks itself",
        ExitCode.INTERRUPTED: "interrupted",
        ExitCode.READER_GONE: "the reader of the output has gone",
    }
    line = ", ".join(f"{code:d} {meaning}" for code, meaning in meanings.items() if meaning)
    return textwrap.fill(f"exit codes: {line}", _HELP_WIDTH, subsequent_indent="  ")


def add_out(
    parser: argparse.ArgumentParser,
    default: str | None = None,
    *,
    help: str = "folder or s3://bucket/prefix for results",  # noqa: A002 - argparse's own word
    metavar: str = "DIR",
) -> None:
    """Adds ``--out``, where results go."""
    text = help if default is None else f"{help} ({default})"
    parser.add_argument("--out", "--output", metavar=metavar, default=default, help=text)


def add_threads(parser: argparse.ArgumentParser, *, default: str = "all cores") -> None:
    """Adds ``--threads``; None where it is not given.

    :param default: What the engines take then, in words.
    """
    parser.add_argument("--threads", type=int, metavar="N", help=f"threads of the engines ({default})")


def add_overwrite(parser: argparse.ArgumentParser, effect: str) -> None:
    """Adds ``--overwrite``.

    :param effect: What becomes of results that are there.
    """
    parser.add_argument("--overwrite", action="store_true", help=effect)


def add_json(parser: argparse.ArgumentParser, content: str = "") -> None:
    """Adds ``--json``, for scripts: see :func:`write_json`.

    :param content: What the JSON holds, in words.
    """
    parser.add_argument("--json", action="store_true", help=f"print JSON{content and f', {content}'}")


def add_allow_host(parser: argparse.ArgumentParser) -> None:
    """Adds ``--allow-host``: servers inside of one's own network that items, catalogues and redirects may lead to."""
    parser.add_argument(
        "--allow-host",
        metavar="HOST[:PORT]",
        action="append",
        default=[],
        help="let items and redirects lead to this server inside of your own network; may be repeated",
    )


def add_requester_pays(parser: argparse.ArgumentParser) -> None:
    """Adds ``--requester-pays``: who reads from S3 pays for it, as some buckets of AWS want it."""
    parser.add_argument(
        "--requester-pays",
        action="store_true",
        help="read buckets of S3 whose readers pay, on your account (the same as AWS_REQUEST_PAYER=requester)",
    )


def add_sign(parser: argparse.ArgumentParser) -> None:
    """Adds ``--sign``: who signs the addresses of STAC items before they are read."""
    parser.add_argument(
        "--sign",
        choices=("planetary-computer",),
        help="sign addresses of STAC items before they are read, by the package planetary-computer",
    )


def _allow_hosts(hosts: Sequence[str]) -> None:
    """By the variable of the environment, which worker processes see too.

    :raises ConfigurationError: when one is no name of a server.
    """
    from eotasks.imagery.files.origin import ALLOWED_HOSTS

    for host in hosts:
        if not host.strip() or any(character in host for character in "/,@ "):
            raise ConfigurationError(f"--allow-host {host!r}: give the name of a server, HOST or HOST:PORT.")
    os.environ[ALLOWED_HOSTS] = ",".join(filter(None, [os.environ.get(ALLOWED_HOSTS), *hosts]))


# Running


def run_command(arguments: argparse.Namespace) -> ExitCode:
    """Runs what a command line asks for; an error becomes one line on stderr, and an exit code."""
    return guarded(lambda: _run(arguments), verbose=arguments.verbose)


def _run(arguments: argparse.Namespace) -> ExitCode:
    set_up_logging(verbose=arguments.verbose)
    if hosts := getattr(arguments, "allow_host", []):
        _allow_hosts(hosts)
    if getattr(arguments, "requester_pays", False):
        os.environ["AWS_REQUEST_PAYER"] = "requester"  # which worker processes see too
    return ExitCode(arguments.run(arguments))


def guarded(run: Callable[[], ExitCode], *, verbose: bool = False) -> ExitCode:
    """Runs a part of a command; an error becomes one line on stderr, and an exit code.

    :param verbose: The stack of an error is shown, too.
    """
    set_up_streams()
    try:
        code = _interruptible(run)
        sys.stdout.flush()  # a reader that is gone is noticed here, not when Python ends
        return code
    except EOTasksError as error:
        return _print_error(message_of(error), ExitCode.BAD_INPUT, stack=error if verbose else None)
    except SystemExit as end:  # of argparse; and rich makes 1 of a broken pipe, which would say that some failed
        closed = _leave_closed_streams()
        if isinstance(end.__context__, BrokenPipeError) or (closed and not end.code):
            return ExitCode.READER_GONE
        raise
    except OSError as error:  # a full disk, a folder without rights: nothing of ours, and no bug either
        if isinstance(error, BrokenPipeError) and _leave_closed_streams():
            return ExitCode.READER_GONE
        return _print_error(
            f"{error}. Check the path, the rights and the space.",
            ExitCode.BAD_INPUT,
            stack=error if verbose else None,
        )
    except KeyboardInterrupt:
        return _print_error("interrupted; the same command goes on where this one stopped.", ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - a fault of ours may not look like "some patches failed" to a script
        return _print_error(f"a fault of eotasks itself: {message_of(error)}", ExitCode.OWN_FAULT, stack=error)


def _interruptible(run: Callable[[], ExitCode]) -> ExitCode:
    """The same, with an interrupt that somebody on its way made another error of as what it is: before 3.12 Python
    makes a RuntimeError of one that comes while a class is made, and classes are what imports are full of.
    """
    try:
        return run()
    except Exception as error:
        if is_of_interrupt(error):
            raise KeyboardInterrupt from error
        raise


def reader_is_gone(stream: IO[str]) -> bool:
    """Whether what is written to a stream reaches nobody: its pipe is closed at the other end."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # no file of the system
        return False
    poll = select.poll()
    poll.register(number, 0)
    return bool(poll.poll(0))


def _leave_closed_streams() -> bool:
    """Whether nobody reads stdout or stderr any more; such a one leads nowhere then, or Python would complain at its
    end, too.
    """
    gone = [stream for stream in (sys.stdout, sys.stderr) if reader_is_gone(stream)]
    for stream in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(gone)


def _print_error(message: str, code: ExitCode, *, stack: BaseException | None = None) -> ExitCode:
    try:
        if stack is not None:
            sys.stderr.write(stack_of(stack))
        print_note(f"eotasks: {message}")
        sys.stderr.flush()
    except OSError:  # nobody reads it; the exit code says what it can
        _leave_closed_streams()
    return code


def set_up_streams() -> None:
    """Names in letters that the screen's encoding lacks are written out, and end no command by an error; what was
    closed before the command began leads nowhere.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def set_up_logging(*, verbose: bool) -> None:
    """Sends log records to stderr: all from INFO on, or errors alone. Stacks of threads that end by an error, too."""
    handler = _ScreenHandler()
    handler.setFormatter(HarmlessFormatter(logging.BASIC_FORMAT))
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, handlers=[handler])
    if threading.excepthook is threading.__excepthook__:  # nobody else's
        threading.excepthook = _print_stack_of_thread


def _print_stack_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        sys.stderr.write(stack_of(ended.exc_value))


class HarmlessFormatter(logging.Formatter):
    """Records without secrets, of which nothing but line feeds of stacks is obeyed by a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging has it
        """The line of the record itself: one line, whatever is in it."""
        return harmless(super().formatMessage(record))

    def formatException(  # noqa: N802 - the same
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """The stack."""
        return "" if ei[1] is None else stack_of(ei[1]).rstrip("\n")


class _ScreenHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment: while bars are on the screen, rich puts lines above them."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


# The screen


def new_console(*, errors: bool = False) -> Console:
    """The screen. Text of users and of others (names, paths, messages) is shown as it is: no markup, no emoji codes, no
    colours; without secrets and what a terminal obeys.

    :param errors: That of stderr.
    """
    return _screen_class()(markup=False, emoji=False, highlight=False, stderr=errors)


@functools.cache
def _screen_class() -> type[Console]:
    from rich.console import Console
    from rich.text import Text

    class Screen(Console):
        """All that it shows begins as a text or a `Text`: both are made harmless before they are laid out."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(harmless(text, lines=True), **options)

        def render(self, renderable: Any, options: Any = None) -> Any:
            if isinstance(renderable, Text):
                shown = harmless(renderable.plain, lines=True)
                if shown != renderable.plain:
                    renderable = renderable.copy()
                    renderable.plain = shown
            return super().render(renderable, options)

    return Screen


def print_line(console: Console, text: str) -> None:
    """Shows a line in one piece, for copying: only the terminal itself wraps it."""
    console.print(text, soft_wrap=True)


def print_note(text: str) -> None:
    """Writes a line to stderr, beside what a command shows or prints for scripts."""
    sys.stderr.write(f"{harmless(text)}\n")


def print_plain(text: str) -> None:
    """Writes lines to stdout for a file or a script: no colours, nothing wrapped."""
    sys.stdout.write(harmless(text, lines=True))


def print_unredacted(text: str) -> None:
    """Writes lines of our own to stdout as they are: a secret for whoever it was made for, code with words that look
    like secrets. Nothing of others.
    """
    sys.stdout.write(printable(text, lines=True))
    sys.stdout.flush()


def print_failed(console: Console, what: str) -> None:
    """Shows that something failed, and why, in one line.

    :param what: Its name, a colon, the reason.
    """
    from rich.text import Text

    console.print(Text.assemble(("failed", "red"), f" {harmless(what)}"), soft_wrap=True)


def write_json(content: object) -> None:
    """Writes JSON to stdout; in ASCII, which no locale and no pipe can spoil."""
    sys.stdout.write(json_text(content) + "\n")


def new_table(
    *columns: str, numbers: Collection[str] = (), title: str = "", header: bool = True, boxed: bool = True
) -> Table:
    """A table for a console of :func:`new_console`; what is too long for its column is folded, never cut.

    :param columns: Their names.
    :param numbers: Names of those that are aligned to the right.
    :param boxed: With lines around it; without them for long lists and narrow screens.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        caption_justify="left",
        show_header=header,
        box=box.HEAVY_HEAD if boxed else None,
        pad_edge=boxed,
    )
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table
