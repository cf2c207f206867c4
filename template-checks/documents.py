"""What is written about the template: its parameters' descriptions, samconfig.toml, the documents."""

import re
from collections.abc import Iterator

from variants import overrides

# In what environments differ besides their parameters: what they are called, and whether somebody is asked.
OWN = {"stack_name", "s3_prefix", "tags", "confirm_changeset", "parameter_overrides"}

QUOTED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
ROWS_OF_THE_REFERENCE = 50


def undescribed(source: str, template: dict) -> Iterator[str]:
    """Parameters that say nothing about themselves."""
    for name, definition in template.get("Parameters", {}).items():
        if not definition.get("Description"):
            yield f"{source}: {name} has no Description"


def undocumented(template: dict, operations: str) -> Iterator[str]:
    """Parameters that the document on operation says nothing about, neither as `Name` nor as `Name=value`."""
    named = {word.split("=")[0] for word in QUOTED.findall(operations)}
    for name in template["Parameters"].keys() - named:
        yield f"docs/OPERATIONS.md: says nothing about `{name}`, a parameter of template.yaml"


def unknown_switches(document: str, content: str, template: dict) -> Iterator[str]:
    """What a document calls `Name=value`, and the template does not have."""
    for name, value in re.findall(r"`([A-Z][a-z]\w+)=([\w-]+)`", content):
        definition = template["Parameters"].get(name)
        if definition is None or value not in map(str, definition.get("AllowedValues", [value])):
            yield f"{document}: `{name}={value}` is no parameter of template.yaml, or none of its values"


def settings_that_differ(environments: dict[str, dict]) -> Iterator[str]:
    """Where an environment that is deployed to AWS differs from the others in more than its parameters."""
    clouds = {name: settings for name, settings in environments.items() if name != "local"}
    first, *others = clouds
    for other in others:
        for command in clouds[first].keys() | clouds[other].keys():
            one, two = ({key: value for key, value in clouds[name].get(command, {}).get("parameters", {}).items()
                         if key not in OWN} for name in [first, other])
            for key in sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key)):
                yield f"samconfig.toml: {command}.{key} differs between {first} and {other}: environments differ by " \
                      "parameters only"


def unknown_parameters(environments: dict[str, dict], template: dict) -> Iterator[str]:
    for name, settings in environments.items():
        for parameter in overrides(settings).keys() - template["Parameters"].keys():
            yield f"samconfig.toml: {name} sets {parameter}, which template.yaml does not have"


def wrong_rows(infrastructure: str, templates: dict[str, dict]) -> Iterator[str]:
    """Where the table of what became of each resource of the reference is incomplete, or names what is not there.

    It is the table with a column `Where`: files, and after each the logical ids or parameters in it.
    """
    rows = list(table(infrastructure, "Where"))
    if len(rows) != ROWS_OF_THE_REFERENCE:
        yield f"docs/INFRASTRUCTURE.md: the table has {len(rows)} rows, the reference {ROWS_OF_THE_REFERENCE} resources"
    names = [row[0] for row in rows]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"docs/INFRASTRUCTURE.md: two rows for {name}"
    for name, where in rows:
        file = None
        for word in QUOTED.findall(where):
            if word.endswith(".yaml"):
                file = word
                if file not in templates:
                    yield f"docs/INFRASTRUCTURE.md: {name} names {file}, which is not there"
            elif file is None:
                yield f"docs/INFRASTRUCTURE.md: {name} names {word} and not the file that it is in"
            elif file in templates and word not in templates[file]["Resources"] | templates[file]["Parameters"]:
                yield f"docs/INFRASTRUCTURE.md: {name} names {word}, which is not in {file}"
        if file is None:
            yield f"docs/INFRASTRUCTURE.md: {name} does not say where it is"


def table(document: str, heading: str) -> Iterator[tuple[str, str]]:
    """The first column and that with this heading, of each row of the tables that have one."""
    column = None
    for line in document.splitlines():
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if column is None and heading in cells:
            column = cells.index(heading)
        elif column is not None and set(line) - set("|:- "):
            yield cells[0], cells[column]
