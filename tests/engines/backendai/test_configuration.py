"""From BACKEND_ variables to a configuration, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_sweep.config import read_settings
from tui_sweep.core.errors import UsageError
from tui_sweep.engines.backendai.configuration import host_of, is_in_clear, read_configuration

KEYS = {"BACKEND_ACCESS_KEY": "AKIA", "BACKEND_SECRET_KEY": "hush"}
LEAST = {"BACKEND_ENDPOINT": "https://api.example.com", **KEYS}


def wrong(**variables: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read_configuration({**LEAST, **{f"BACKEND_{name}": value for name, value in variables.items()}})
    assert "hush" not in str(caught.value)
    return caught.value


def test_what_is_not_set_is_as_the_official_client_has_it():
    configuration = read_configuration(LEAST)
    assert configuration.endpoints == ("https://api.example.com",)
    assert (configuration.domain, configuration.group) == ("default", "default")
    assert (configuration.connection_timeout, configuration.read_timeout) == (10.0, 0.0)
    assert not configuration.is_session
    assert not configuration.skip_ssl_validation
    assert configuration.vfolder_mounts == ()
    assert configuration.notices == []


def test_the_defaults_shown_by_the_command_line_are_the_ones_used(tmp_path: Path):
    shown = read_settings(environ=LEAST, cwd=tmp_path, options={}).backend
    assert len(shown) > len(LEAST)
    assert read_configuration(shown) == read_configuration(LEAST)


def test_every_variable_reaches_the_configuration():
    configuration = read_configuration(
        {
            "BACKEND_ENDPOINT": " https://a.example.com:8443/api/ , http://127.0.0.1:8081,https://a.example.com:8443/api",
            "BACKEND_ENDPOINT_TYPE": "API",
            "BACKEND_ACCESS_KEY": "AKIA",
            "BACKEND_SECRET_KEY": "hush\n",
            "BACKEND_DOMAIN": "lab",
            "BACKEND_GROUP": "연구",
            "BACKEND_SKIP_SSLCERT_VALIDATION": "Yes",
            "BACKEND_CONNECTION_TIMEOUT": "2.5",
            "BACKEND_READ_TIMEOUT": "30",
            "BACKEND_VFOLDER_MOUNTS": "data, models:/m,",
        }
    )
    assert configuration.endpoints == ("https://a.example.com:8443/api", "http://127.0.0.1:8081")
    assert configuration.secret_key == "hush"
    assert (configuration.domain, configuration.group) == ("lab", "연구")
    assert configuration.skip_ssl_validation
    assert (configuration.connection_timeout, configuration.read_timeout) == (2.5, 30.0)
    assert configuration.vfolder_mounts == ("data", "models:/m")
    assert "hush" not in repr(configuration)


@pytest.mark.parametrize("word", ["y", "YES", "t", "True", "1"])
def test_what_the_official_client_takes_for_a_yes_is_one(word):
    assert read_configuration({**LEAST, "BACKEND_SKIP_SSLCERT_VALIDATION": word}).skip_ssl_validation


@pytest.mark.parametrize("word", ["n", "No", "F", "false", "0", ""])
def test_what_the_official_client_takes_for_a_no_is_one(word):
    assert not read_configuration({**LEAST, "BACKEND_SKIP_SSLCERT_VALIDATION": word}).skip_ssl_validation


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("api.example.com", "https://"),
        ("ftp://api.example.com", "https://"),
        ("https://", "no host"),
        ("https://a..b", "no host"),
        ("https://api.example.com:99999", "port"),
        ("https://api.example.com:port", "port"),
        ("https://[::1", "not an address"),
        ("https://api.example.com/?a=b", "path"),
        ("https://api.example.com/a b", "spaces"),
        ("https://클러스터.example.com", "xn--"),
    ],
)
def test_a_bad_address_is_shown_with_what_is_wrong(url, said):
    error = wrong(ENDPOINT=f"https://good.example.com,{url}")
    assert said in error.message
    assert "BACKEND_ENDPOINT" in error.message
    assert error.text is not None
    assert error.span is not None
    assert error.text[slice(*error.span)] == url


@pytest.mark.parametrize("url", ["https://me:pass@api.example.com", "https://me:pa/ss@api.example.com"])
def test_an_address_that_holds_a_password_is_refused_and_not_shown(url):
    error = wrong(ENDPOINT=url)
    assert error.text is None
    assert "pa" not in error.message.replace("password", "")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ENDPOINT_TYPE", "docker", "session"),
        ("SKIP_SSLCERT_VALIDATION", "maybe", "yes or no"),
        ("CONNECTION_TIMEOUT", "soon", "seconds"),
        ("CONNECTION_TIMEOUT", "-1", "seconds"),
        ("READ_TIMEOUT", "nan", "seconds"),
        ("READ_TIMEOUT", "1e9", "seconds"),
        ("DOMAIN", "a\nb", "control"),
        ("ACCESS_KEY", "AKIA two", "spaces"),
        ("SECRET_KEY", "hush hush", "spaces"),
    ],
)
def test_a_bad_value_is_a_usage_error_that_names_its_variable(name, value, said):
    error = wrong(**{name: value})
    assert f"BACKEND_{name}" in error.message
    assert said in error.message


def test_an_access_key_without_its_secret_is_told_apart_from_no_keys_at_all():
    assert "AKIA" in wrong(SECRET_KEY="").message
    nobody = wrong(SECRET_KEY="", ACCESS_KEY="").message
    assert "BACKEND_ACCESS_KEY and SECRET_KEY" in nobody
    assert "BACKEND_ACCESS_KEY is" in wrong(ACCESS_KEY="").message


def test_no_endpoint_is_a_usage_error():
    assert "BACKEND_ENDPOINT" in wrong(ENDPOINT=" , ").message


def test_a_login_needs_no_keys():
    configuration = read_configuration(
        {"BACKEND_ENDPOINT": "https://console.example.com", "BACKEND_ENDPOINT_TYPE": "session"}
    )
    assert configuration.is_session
    assert configuration.access_key == ""


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://API.example.com", "api.example.com"),
        ("https://api.example.com:443/prefix", "api.example.com"),
        ("http://api.example.com:443", "api.example.com:443"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("http://[::1]:8081", "[::1]:8081"),
        ("https://[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_the_host_is_what_the_host_header_has(endpoint, host):
    assert host_of(endpoint) == host


@pytest.mark.parametrize("where", ["api.example.com", "10.1.2.3", "[2001:db8::1]", "localhost.example.com"])
def test_plain_http_to_another_machine_is_a_notice(where):
    configuration = read_configuration({**LEAST, "BACKEND_ENDPOINT": f"http://{where}"})
    assert is_in_clear(f"http://{where}")
    assert len(configuration.notices) == 1
    assert "not encrypted" in configuration.notices[0]


@pytest.mark.parametrize("where", ["127.0.0.1:8081", "127.1.2.3", "[::1]", "localhost", "m.localhost"])
def test_plain_http_on_this_machine_is_none(where):
    assert read_configuration({**LEAST, "BACKEND_ENDPOINT": f"http://{where}"}).notices == []


def test_certificates_that_nobody_looks_at_are_a_notice():
    configuration = read_configuration({**LEAST, "BACKEND_SKIP_SSLCERT_VALIDATION": "yes"})
    assert "SKIP_SSLCERT" in configuration.notices[0]
