"""What the template promises. A promise is a function that says where a stack does not keep it: one line for each
place, which names the resource and what to do.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from expansion import Resource, Stack, as_list

Promise = Callable[[Stack], Iterable[str]]

PROMISES: dict[str, Promise] = {}


def promise(check: Promise) -> Promise:
    PROMISES[check.__name__] = check
    return check


def at(value: Any, *path: str | int) -> Any:
    """What stands at a path below a value; nothing if there is no such path."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def statements(resource: Resource) -> Iterator[dict]:
    """Every statement of every policy in a resource."""
    def below(node: Any) -> Iterator[dict]:
        match node:
            # Firewalls have statements, too, but without an effect.
            case {"Statement": [{"Effect": _}, *_] | {"Effect": _} as content}:
                yield from as_list(content)
            case dict():
                for value in node.values():
                    yield from below(value)
            case list():
                for value in node:
                    yield from below(value)
    return below(resource.properties)


def function_of(resource: Resource, alias: Any) -> Resource | None:
    """The function behind a reference to an alias."""
    target = resource.target(alias)
    if target is None or target.type != "AWS::Lambda::Alias":
        return None
    return target.target(target.properties["FunctionName"])
