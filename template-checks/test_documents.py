"""What is written about the template is so."""

import copy
import unittest
from collections.abc import Iterable

import documents
from expansion import REPOSITORY, TEMPLATE, load
from variants import environments

OPERATIONS = REPOSITORY / "docs/OPERATIONS.md"
INFRASTRUCTURE = REPOSITORY / "docs/INFRASTRUCTURE.md"


def templates() -> dict[str, dict]:
    sources = [TEMPLATE, *(f"stacks/{path.name}" for path in sorted((REPOSITORY / "stacks").glob("*.yaml")))]
    return {source: load(source) for source in sources}


class Documents(unittest.TestCase):
    def verify(self, findings: Iterable[str]) -> None:
        if lines := list(findings):
            self.fail("\n" + "\n".join(lines))

    def refuse(self, findings: Iterable[str], expected: str) -> None:
        self.assertRegex("\n".join(findings), expected)

    def test_every_parameter_is_described(self):
        for source, template in templates().items():
            with self.subTest(source):
                self.verify(documents.undescribed(source, template))
        self.refuse(documents.undescribed("a", {"Parameters": {"B": {}}}), "a: B has no Description")

    def test_every_parameter_is_documented(self):
        self.verify(documents.undocumented(load(TEMPLATE), OPERATIONS.read_text()))
        self.refuse(documents.undocumented(load(TEMPLATE), "`Zones`"), "says nothing about `Environment`")
        self.verify(documents.undocumented({"Parameters": {"Zones": {}}}, "```sh\nexport A=1\n```\n`Zones`"))

    def test_documents_name_parameters_and_values_that_exist(self):
        template = load(TEMPLATE)
        for path in sorted((REPOSITORY / "docs").rglob("*.md")):
            with self.subTest(path.name):
                self.verify(documents.unknown_switches(path.name, path.read_text(), template))
        self.refuse(documents.unknown_switches("a.md", "`Zones=4`", template), "a.md: `Zones=4` is no parameter")
        self.refuse(documents.unknown_switches("a.md", "`Zone=3`", template), "a.md: `Zone=3` is no parameter")

    def test_environments_differ_by_parameters_only(self):
        self.verify(documents.settings_that_differ(environments()))
        changed = copy.deepcopy(environments())
        changed["prod"]["deploy"]["parameters"]["capabilities"] = []
        self.refuse(documents.settings_that_differ(changed), "deploy.capabilities differs between dev and prod")

    def test_environments_set_parameters_that_exist(self):
        self.verify(documents.unknown_parameters(environments(), load(TEMPLATE)))
        self.refuse(documents.unknown_parameters(environments(), {"Parameters": {}}), "dev sets Environment, which")

    def test_what_became_of_the_reference_is_there(self):
        self.verify(documents.wrong_rows(INFRASTRUCTURE.read_text(), templates()))

    def test_a_wrong_row_is_found(self):
        heading = "| Reference | Here | Where |\n|---|---|---|\n"
        row = "| {} | a network | {} |\n"
        known = {"template.yaml": {"Parameters": {"Cache": {}}, "Resources": {"UserTable": {}}},
                 "stacks/network.yaml": {"Parameters": {}, "Resources": {"VPC": {}}}}
        full = [(f"Resource{number}", "`stacks/network.yaml`: `VPC`") for number in range(49)]

        def found(*rows: tuple[str, str]) -> str:
            return "\n".join(documents.wrong_rows(heading + "".join(row.format(*one) for one in rows), known))

        self.assertEqual("", found(*full, ("A", "`stacks/network.yaml`: `VPC`; `template.yaml`: `UserTable`, `Cache`")))
        for wrong, expected in [
            ([], "the table has 49 rows, the reference 50 resources"),
            ([full[1]], "two rows for Resource1"),
            ([("A", "`stacks/gone.yaml`")], "A names stacks/gone.yaml, which is not there"),
            ([("A", "`stacks/network.yaml`: `UserTable`")], "A names UserTable, which is not in stacks/network.yaml"),
            ([("A", "`VPC`")], "A names VPC and not the file that it is in"),
            ([("A", "elsewhere")], "A does not say where it is"),
        ]:
            self.refuse([found(*full, *wrong)], expected)
