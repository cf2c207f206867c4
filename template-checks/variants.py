"""The parameter sets that the template is checked with."""

import json
from pathlib import Path

import tomlkit

from expansion import REPOSITORY

EVERYTHING_ON = ["everything-on", "everything-on-managed-instances"]


def variants() -> dict[str, dict[str, str]]:
    """What is in `variants.json`, and the environments that are deployed to AWS."""
    given = json.loads((Path(__file__).parent / "variants.json").read_text())
    return given | {name: overrides(settings) for name, settings in environments().items() if name != "local"}


def environments() -> dict[str, dict]:
    """The environments in samconfig.toml."""
    settings = tomlkit.parse((REPOSITORY / "samconfig.toml").read_text()).unwrap()
    return {name: value for name, value in settings.items() if isinstance(value, dict)}


def overrides(environment: dict) -> dict[str, str]:
    """The template's parameters in an environment of samconfig.toml."""
    return dict(override.split("=", 1) for override in environment["deploy"]["parameters"]["parameter_overrides"])
