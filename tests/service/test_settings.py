"""Settings by the environment and by options."""

from __future__ import annotations

from pathlib import Path

import pytest

from eotasks.errors import ConfigurationError
from eotasks.service.settings import ServiceSettings, is_loopback, load_settings, memory_text
from tests import ROOT


def test_every_field_says_what_it_is() -> None:
    assert [name for name, field in ServiceSettings.model_fields.items() if not field.description] == []


def test_the_environment_and_what_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOTASKS_SERVICE_CATALOGUES", "a.parquet, s3://bucket/b.parquet")
    monkeypatch.setenv("EOTASKS_SERVICE_PORT", "9000")
    monkeypatch.setenv("EOTASKS_SERVICE_OPEN", "true")
    settings = load_settings({"port": 9001})
    assert settings.catalogues == ("a.parquet", "s3://bucket/b.parquet")
    assert (settings.port, settings.open, settings.url) == (9001, True, "http://127.0.0.1:9001")


def test_another_process_gets_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "catalogues": ("a.parquet", "b.parquet"), "jitless": True, "waiting_s": 1.5,
        "clients_file": tmp_path / "c.json", "archive": None, "token_key": "k" * 40,
    }  # fmt: skip
    settings = load_settings(given)
    assert "k" * 40 not in str(settings.environment()) + repr(settings)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings.model_copy(update={"token_key": None})


@pytest.mark.parametrize(
    "catalogues",
    [("june,july.parquet", "b.parquet"), ("https://stac.example/?a=1,2",), ("[a].parquet",), (" a.parquet",), ()],
)
def test_names_with_commas_reach_other_processes_whole(
    catalogues: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings({"catalogues": catalogues, "workers": 2})
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


@pytest.mark.parametrize("text", ["[", '["a", 1]', "[" * 50_000, '{"a": 1}['])
def test_lists_that_are_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOTASKS_SERVICE_CATALOGUES", text)
    if text.startswith("["):
        with pytest.raises(ConfigurationError, match=r"catalogues.*a list of JSON"):
            load_settings()
    else:
        assert load_settings().catalogues == (text,)


def test_an_empty_archive_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOTASKS_SERVICE_ARCHIVE", "")
    assert load_settings().archive is None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("EOTASKS_SERVICE_PROT", "1", "did you mean 'EOTASKS_SERVICE_PORT'?"),
        ("EOTASKS_SERVICE_PORT", "http", "port"),
        ("EOTASKS_SERVICE_PORT", "70000", "port"),
        ("EOTASKS_SERVICE_TOKEN_S", "120", "token_s"),
        ("EOTASKS_SERVICE_TOKEN_KEY", "guess-me", "can be guessed"),
        ("EOTASKS_SERVICE_BASE_URL", "ftp://host", "base_url"),
        ("EOTASKS_SERVICE_BASE_URL", "https://user:pass@host", "base_url"),
        ("EOTASKS_SERVICE_WORKERS", "0", "workers"),
    ],
)
def test_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert said in str(error.value)
    assert "guess-me" not in str(error.value)
    assert "user:pass" not in str(error.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_open_is_for_loopback(host: str) -> None:
    with pytest.raises(ConfigurationError, match="open is for loopback"):
        load_settings({"host": host, "open": True})


def test_open_to_every_site_is_not_taken() -> None:
    with pytest.raises(ConfigurationError, match="name the sites"):
        load_settings({"open": True, "cors_origins": "*"})
    assert load_settings({"open": True}).sites == ()
    assert load_settings({"open": True, "cors_origins": "https://a.example"}).sites == ("https://a.example",)
    assert load_settings().sites == ("*",)


@pytest.mark.parametrize(
    ("host", "inside"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


def test_the_budget_is_shared_out() -> None:
    settings = load_settings({"memory_mb": 6000, "workers": 2, "concurrent": 5})
    assert settings.bytes_of_request * 2 * 5 * 3 <= 6000 * 1024**2
    told = memory_text(settings, kept_bytes=640 << 20)
    assert told.startswith("6,000 MB for pixels: 2 x 5 requests")
    assert told.endswith("beside them 2 x 640 MB of what was read are kept")


def test_an_unknown_option() -> None:
    with pytest.raises(ConfigurationError, match="catalogue"):
        load_settings({"catalogue": "a.parquet"})


OPTIONS = {
    "catalogues": "--catalogue",
    "archive": "--archive",
    "host": "--host",
    "port": "--port",
    "workers": "--workers",
    "clients_file": "--clients",
    "open": "--open",
}


def settings_rows() -> list[str]:
    """Of the table in docs/how-to-service.md."""
    rows = []
    for name, field in ServiceSettings.model_fields.items():
        default = field.default
        shown = "" if default is None or default == () else ",".join(default) if isinstance(default, tuple) else default
        option = f", `{OPTIONS[name]}`" if name in OPTIONS else ""
        value = f"`{str(shown).lower() if isinstance(shown, bool) else shown}`" if shown != "" else ""
        rows.append(f"| `EOTASKS_SERVICE_{name.upper()}`{option} | {value} | {field.description} |")
    return rows


def test_each_setting_is_on_the_page_as_it_is() -> None:
    page = (ROOT / "docs" / "how-to-service.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("| `EOTASKS_SERVICE_")] == settings_rows()
