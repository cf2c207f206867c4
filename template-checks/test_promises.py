"""The template keeps its promises with every set of parameters.

    .local/venv/bin/python -m unittest discover -s template-checks
"""

import unittest
from collections.abc import Iterable

import access
import data  # noqa: F401 – its promises
import messages
import monitoring  # noqa: F401
import network  # noqa: F401
import options
import reference
from expansion import TEMPLATE, Stack, expand, load, texts
from promises import PROMISES, statements
from variants import EVERYTHING_ON, variants

# Of parameters that change functions and take any value.
OTHER_VALUES = {"CorsOrigins": ["https://other.example"]}


class Promises(unittest.TestCase):
    stacks: dict[str, Stack]

    @classmethod
    def setUpClass(cls):
        cls.stacks = {name: expand(parameters) for name, parameters in variants().items()}
        everything = variants()[EVERYTHING_ON[0]]
        cls.stacks["everything-on in prod"] = expand(everything | {"Environment": "prod",
                                                                   "CorsOrigins": "https://shop.example"})

    def verify(self, findings: dict[str, Iterable[str]]) -> None:
        """No findings; those of several variants are said once."""
        where: dict[str, list[str]] = {}
        for variant, found in findings.items():
            for finding in found:
                where.setdefault(finding, []).append(variant)
        lines = [f"{finding} ({', '.join(names)})" for finding, names in where.items()]
        if lines:
            self.fail("\n" + "\n".join(lines))

    def test_promises(self):
        for name, check in PROMISES.items():
            with self.subTest(name):
                self.verify({variant: check(stack) for variant, stack in self.stacks.items()})

    def test_nothing_optional_remains_when_all_is_off(self):
        self.verify({"default": options.remains_when_all_is_off(self.stacks["default"])})

    def test_everything_is_there_when_all_is_on(self):
        self.verify({name: options.is_missing_when_all_is_on(self.stacks[name]) for name in EVERYTHING_ON})

    def test_everything_of_the_reference_is_there(self):
        absent = [set(reference.absent(self.stacks[name])) for name in EVERYTHING_ON]
        self.assertEqual(set(), set.intersection(*absent))

    def test_parameters_that_change_a_function_publish_a_version(self):
        given = variants()[EVERYTHING_ON[0]]
        findings = {}
        for name, definition in load(TEMPLATE)["Parameters"].items():
            for value in map(str, definition.get("AllowedValues", OTHER_VALUES.get(name, []))):
                try:
                    changed = expand(given | {name: value})
                except ValueError:
                    continue  # A rule of the template refuses it.
                findings[f"{name}={value}"] = messages.changes_without_a_version(self.stacks[EVERYTHING_ON[0]], changed)
        self.verify(findings)

    def test_every_exception_is_needed(self):
        resources = [resource for stack in self.stacks.values() for resource in stack.all()]
        found = [(resource, set(texts(statement.get("Action"))), place, value)
                 for resource in resources for statement in statements(resource) if statement["Effect"] == "Allow"
                 for place, value in access.wildcards(statement)]
        unused = [f"{known.type} {known.pattern}" for known in access.UNAVOIDABLE
                  if not any(known.covers(*wildcard) for wildcard in found)]
        policies = {policy for resource in resources
                    for policy in texts(resource.properties.get("ManagedPolicyArns"))}
        unused += access.MANAGED_POLICIES.keys() - policies
        self.assertEqual([], unused, "no template needs this exception any more: remove it from access.py")
