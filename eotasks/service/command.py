"""`eotasks serve`: the service for clients that were written for Sentinel Hub, and the clients that may use it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from eotasks.errors import ConfigurationError, MissingDependencyError
from eotasks.extras import command_line, install_line, missing_modules
from eotasks.workflows.console import (
    Commands,
    ExitCode,
    add_allow_host,
    add_command,
    add_json,
    add_requester_pays,
    new_console,
    print_line,
    print_unredacted,
)

if TYPE_CHECKING:
    from eotasks.service.settings import ServiceSettings

DEFAULT_CLIENTS = "eotasks-clients.json"
SCOPES = ("process", "statistics", "catalog")
"""As `eotasks.service.auth.access` has them, which needs the extra."""

DESCRIPTION = """\
Bands, cloud masks and statistics of your products over HTTP, as the Process, Statistical and Catalog APIs of Sentinel
Hub give them: the package sentinelhub, eo-learn's tasks and evalscripts work as they are."""

EXAMPLES = """\
examples:
  eotasks serve --demo                                              the embedded scene and a simulated year, on loopback
  eotasks serve --catalogue products.parquet --open                 for yourself, on loopback, without tokens
  eotasks serve add-client "QGIS of the office"                     prints an id and a secret, once
  eotasks serve --catalogue products.parquet --host 0.0.0.0 --workers 4

Requests and errors are logged to stderr, a line of JSON each. More settings, each also a variable EOTASKS_SERVICE_… of
the environment, are in docs/how-to-service.md. Ctrl-C or SIGTERM ends the service when its requests are answered.
"""

ADD_EXAMPLES = """\
The secret is printed once and kept nowhere; the file has what scrypt makes of it, for its owner alone. A service that
runs sees the new client at once. To take a client away, remove its lines from the file.

examples:
  eotasks serve add-client "QGIS of the office"
  eotasks serve add-client statistics-only --scope statistics --clients /etc/eotasks/clients.json
"""


def add_parser(commands: Commands) -> None:
    """Register `serve` with the `eotasks` command."""
    parser = add_command(
        commands,
        "serve",
        run,
        summary="bands, masks and statistics over HTTP, as Sentinel Hub gives them",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        done="ended as it was asked to",
    )
    parser.add_argument(
        "--catalogue",
        metavar="FILE",
        action="append",
        dest="catalogues",
        help="catalogue of products (eotasks catalogue add), an archive, or the address of a STAC API; may be repeated",
    )
    parser.add_argument("--archive", metavar="DIR", help="archive with the cloud masks of these products")
    parser.add_argument("--host", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen at (8080); 0 takes a free one")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that answer requests (1)")
    parser.add_argument("--open", action="store_true", default=None, help="answer everybody, on loopback only")
    parser.add_argument(
        "--demo",
        action="store_true",
        help="the embedded scene and a simulated year; implies --open, but with --clients",
    )
    _add_clients(parser)
    add_allow_host(parser)
    add_requester_pays(parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=False)
    add = add_command(
        actions,
        "add-client",
        run_add_client,
        summary="make a client that may ask for tokens",
        description="Make a client: an id and a secret, for which the service gives tokens.",
        epilog=ADD_EXAMPLES,
    )
    add.add_argument("name", metavar="NAME", help="what you call it")
    add.add_argument(
        "--scope", choices=SCOPES, action="append", dest="scopes", help="what it may do; may be repeated (all)"
    )
    add_json(add, "the id and the secret")
    _add_clients(add, "clients_file_of_action")


def _add_clients(parser: argparse.ArgumentParser, name: str = "clients_file") -> None:
    parser.add_argument("--clients", metavar="FILE", dest=name, help=f"file of clients ({DEFAULT_CLIENTS})")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Serve until it is told to end."""
    _require_extra()
    from eotasks.service.serving import check, listen, serve
    from eotasks.service.settings import load_settings

    given = _given(arguments)
    if arguments.open and "clients_file" in given:
        raise ConfigurationError(
            f"--open answers everybody, and --clients {given['clients_file']} names who is answered: leave out one."
        )
    if arguments.demo:
        from eotasks.service.demo import demo_settings

        given |= demo_settings(given)
    settings = load_settings(given)
    check(settings)
    with listen(settings) as (listening, settings):
        serve(settings, listening, lambda: print_unredacted(start_text(settings, demo=arguments.demo)))
    return ExitCode.DONE


def run_add_client(arguments: argparse.Namespace) -> ExitCode:
    """Make a client."""
    _require_extra()
    from eotasks.service.auth.access import SCOPES as ALL
    from eotasks.service.auth.clients import add_client
    from eotasks.service.settings import load_settings

    path = load_settings({"open": False, **_clients_given(arguments)}).clients_file
    scopes = [scope for scope in ALL if not arguments.scopes or scope in arguments.scopes]
    client_id, secret = add_client(path, arguments.name, scopes)
    content = {"client_id": client_id, "client_secret": secret, "scopes": scopes}
    if arguments.json:
        print_unredacted(json.dumps(content, indent=1) + "\n")
        return ExitCode.DONE
    print_line(new_console(), f"Client {arguments.name} of {path}, for {', '.join(scopes)}. Its secret is shown once:")
    print_unredacted(f"client_id      {client_id}\nclient_secret  {secret}\n")
    return ExitCode.DONE


def start_text(settings: ServiceSettings, *, demo: bool = False) -> str:
    """What is printed at the start, with the lines to paste into Python."""
    from eotasks.service.build import reading_limits
    from eotasks.service.settings import memory_text

    whose = "everybody on this machine" if settings.open else f"the clients of {settings.clients_file}"
    return "\n".join(
        (
            f"eotasks serves sentinel-2-l1c and sentinel-2-l2a at {settings.url}, for {whose}",
            f"memory    {memory_text(settings, kept_bytes=reading_limits(settings).kept_bytes)}",
            f"engine    {settings.workers} x {settings.engine_workers} evalscripts at the same time",
            f"pages     {settings.url}/docs, {settings.url}/health, {settings.url}/metrics",
            "",
            *paste_text(settings, demo=demo),
            "",
        )
    )


def paste_text(settings: ServiceSettings, *, demo: bool = False) -> list[str]:
    """Lines for Python with the package sentinelhub."""
    client_id, secret = ("any", "any") if settings.open else ("ID OF YOUR CLIENT", "ITS SECRET")
    time = '("2017-02-16", "2017-02-17")' if demo else '("2024-06-01", "2024-06-30")'
    box = "(12.50, 52.44, 12.70, 52.50)"
    insecure = ['import os; os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the token comes over plain http']
    return [
        "Paste into Python:",
        "",
        *(insecure if settings.url.startswith("http:") else []),
        "from sentinelhub import CRS, BBox, DataCollection, MimeType, SentinelHubRequest, SHConfig",
        "config = SHConfig(use_defaults=True)",
        f'config.sh_base_url = url = "{settings.url}"',
        'config.sh_token_url = url + "/auth/realms/main/protocol/openid-connect/token"',
        f'config.sh_client_id, config.sh_client_secret = "{client_id}", "{secret}"',
        'collection = DataCollection.SENTINEL2_L1C.define_from("ours", service_url=url)',
        "evalscript = '''//VERSION=3",
        'function setup() { return {input: ["B02", "B03", "B04", "CLM"], output: {bands: 3}} }',
        "function evaluatePixel(s) { return s.CLM == 1 ? [1, 1, 0] : [3.5 * s.B04, 3.5 * s.B03, 3.5 * s.B02] }'''",
        f"data = [SentinelHubRequest.input_data(collection, time_interval={time})]",
        'picture = [SentinelHubRequest.output_response("default", MimeType.PNG)]',
        f"box = BBox({box}, CRS.WGS84)",
        "image = SentinelHubRequest(evalscript, data, picture, bbox=box, size=(512, 256), config=config).get_data()[0]",
    ]


def _given(arguments: argparse.Namespace) -> dict[str, object]:
    """Settings that the command line says."""
    names = ("catalogues", "archive", "host", "port", "workers", "open", "clients_file")
    given = {name: getattr(arguments, name, None) for name in names}
    if given["clients_file"] is not None:
        given["clients_file"] = Path(str(given["clients_file"]))
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None
    }


def _clients_given(arguments: argparse.Namespace) -> dict[str, object]:
    """The file of clients that the command line names for a new one, before or behind `add-client`.

    :raises ConfigurationError: when it names two, or says how the service runs, which this does not start.
    """
    given = _given(arguments)
    before, behind = given.pop("clients_file", None), arguments.clients_file_of_action
    others = [*given, *(["demo"] if arguments.demo else [])]
    if others:
        option = {"catalogues": "catalogue"}.get(others[0], others[0])
        raise ConfigurationError(
            f"add-client makes a client and starts no service, which --{option} is for: leave out one."
        )
    if before is not None and behind is not None and before != Path(behind):
        raise ConfigurationError(f"--clients {before} and --clients {behind} are two files: leave out one.")
    path = before if behind is None else Path(behind)
    return {} if path is None else {"clients_file": path}


def _require_extra() -> None:
    missing = missing_modules("service") + missing_modules("catalogue")
    if missing:
        raise MissingDependencyError(
            f"`{command_line()} serve` needs the package{'s' * (len(missing) > 1)} {', '.join(missing)}:"
            f" {install_line('service')}"
        )
