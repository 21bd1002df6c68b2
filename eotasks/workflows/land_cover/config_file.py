"""The configuration file: reading it, and printing one with a comment per field."""

from __future__ import annotations

import datetime as dt
import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from eotasks.documents import parse_toml, refuse_many_values
from eotasks.errors import ConfigurationError
from eotasks.limits import RECORD_BYTES
from eotasks.reading import read_regular
from eotasks.text import did_you_mean, kept

if TYPE_CHECKING:  # a configuration knows all sources and what they are made of: a help does without
    from eotasks.workflows.land_cover.config import LandCoverConfig

BUILT_IN = Path(__file__).parent / "configs"
DEFAULT_CONFIG = BUILT_IN / "sample.toml"
"""What `eotasks land-cover` runs when no file is given: the embedded sample."""


def load_config(path: str | Path) -> LandCoverConfig:
    """Read and check a configuration file.

    :param path: TOML file. Relative paths in it are taken from the file's own folder; those of a configuration that
        comes along from the current one, where its user has the files.
    :raises ConfigurationError: the file is missing, no TOML, or has unknown keys or unusable values; names each.
    """
    file = Path(path)
    if not file.exists():
        names = sorted(each.stem for each in BUILT_IN.glob("*.toml"))
        known = "" if file.suffix else f" Those that come along are {', '.join(names)}."
        raise ConfigurationError(
            f"There is no configuration {str(path)!r}{did_you_mean(file.stem, names)}: check the path.{known}"
        )
    try:
        text = read_regular(file, RECORD_BYTES).decode("utf-8-sig")  # editors of Windows write a mark before the text
    except OSError as error:
        raise ConfigurationError(f"{str(path)!r} cannot be read ({error.strerror}): check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"Configuration {str(path)!r} is no UTF-8 text: save it as UTF-8.") from error
    folder = file.resolve().parent
    return _resolve_paths(parse_config(text, where=str(path)), Path.cwd() if folder == BUILT_IN.resolve() else folder)


def parse_config(text: str | bytes, *, where: str = "configuration") -> LandCoverConfig:
    """A configuration from TOML text. See :func:`load_config`."""

    def refuse(reason: str) -> ConfigurationError:
        return ConfigurationError(f"{where}: {reason}.")

    data = parse_toml(text, refuse)
    refuse_many_values(data, refuse)
    return checked_config(data, where=where)


def checked_config(data: Mapping[str, object], *, where: str) -> LandCoverConfig:
    """A configuration from values. See :func:`load_config`."""
    from eotasks.workflows.land_cover.config import LandCoverConfig
    from eotasks.workflows.land_cover.problems import all_problems, in_one_line
    from eotasks.workflows.land_cover.sources.registry import SOURCES

    try:
        return LandCoverConfig.model_validate(data)
    except ValidationError as error:
        problems = all_problems(LandCoverConfig.model_validate, data, LandCoverConfig, SOURCES)
        raise ConfigurationError(f"{where}: {in_one_line(problems)}") from error


def _resolve_paths(config: LandCoverConfig, base: Path) -> LandCoverConfig:
    """Input files named relative to the configuration file become absolute; outputs stay relative to where you are."""

    def absolute(path: str) -> str:
        return path if "://" in path else str((base / path).resolve())

    def optional(path: str | None) -> str | None:
        return None if path is None else absolute(path)

    area = config.area.model_copy(
        update={"file": optional(config.area.file), "patch_grid": optional(config.area.patch_grid)}
    )
    reference = config.reference.model_copy(update={"path": optional(config.reference.path)})
    source = config.source.with_paths(absolute)
    return config.model_copy(update={"area": area, "reference": reference, "source": source})


def render_toml(config: LandCoverConfig) -> str:
    """The whole configuration as TOML, each field under a comment that says what it is; reads back as the same, but for
    users, passwords and signatures of addresses, which are left out.
    """
    lines: list[str] = []
    _render_table(config, "", lines)
    return "\n".join(lines).strip() + "\n"


def _render_table(model: BaseModel, prefix: str, lines: list[str]) -> None:
    nested: list[tuple[str, BaseModel, str]] = []
    for name, field in type(model).model_fields.items():
        value, description = getattr(model, name), field.description or ""
        if isinstance(value, BaseModel):
            nested.append((name, value, description))
            continue
        lines += [f"# {line}" for line in textwrap.wrap(description, 110)]
        lines.append(f"# {name} =" if value is None else f"{name} = {_render_value(value)}")
    for name, value, description in nested:
        lines += ["", *(f"# {line}" for line in textwrap.wrap(description, 110)), f"[{prefix}{name}]"]
        _render_table(value, f"{prefix}{name}.", lines)


def _render_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(kept(value), ensure_ascii=False)
    if isinstance(value, BaseModel):
        return _render_value(value.model_dump())
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_render_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        items = [_render_value(item) for item in value]
        if items and isinstance(value[0], BaseModel):
            return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
        return "[" + ", ".join(items) + "]"
    raise TypeError(f"no TOML form for {type(value).__name__}")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
