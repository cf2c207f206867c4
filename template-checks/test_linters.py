"""cfn-lint, the serverless rules for it, and checkov find nothing that is not suppressed, with every set of parameters.

    .local/venv/bin/python -m unittest discover -s template-checks

What they look at is in `.local/template-checks/`: the sources, and for each set of parameters what would be deployed.
"""

import json
import unittest

from expansion import REPOSITORY, TEMPLATE, expand, file_name, load
from linters import CfnLint, Checkov, Finding, Linter, Suppression, judge, unexplained, without_suppressions
from variants import variants

FOLDER = REPOSITORY / ".local/template-checks"
SOURCES = [TEMPLATE, *(str(path.relative_to(REPOSITORY)) for path in sorted((REPOSITORY / "stacks").glob("*.yaml")))]


class Linters(unittest.TestCase):
    linters: list[Linter]
    suppressions: set[Suppression]

    @classmethod
    def setUpClass(cls):
        cls.suppressions = set()
        for source in SOURCES:
            cls.write(f"sources/{source}", load(source))
        # Of templates that are alike with several sets of parameters, one is enough.
        distinct = {}
        for variant, parameters in variants().items():
            for stack in expand(parameters).stacks():
                name = f"{variant}/{file_name(stack)}"
                distinct.setdefault(cls.write(name, stack.template), name)
        deployed = list(distinct.values())
        cls.linters = [
            CfnLint(FOLDER / "sources", SOURCES),
            # The addresses of nested templates are files, as they are before `sam deploy` (W3002).
            CfnLint(FOLDER, deployed, "--append-rules", "cfn_lint_serverless.rules", "--ignore-checks", "W3002"),
            Checkov(FOLDER, deployed),
        ]
        for linter in cls.linters:
            cls.addClassCleanup(linter.close)

    @classmethod
    def write(cls, name: str, template: dict) -> str:
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        stripped, suppressions = without_suppressions(path.stem, template)
        cls.suppressions |= suppressions
        content = json.dumps(stripped, indent=2)
        path.write_text(content)
        return content

    def test_nothing_is_found_that_is_not_suppressed(self):
        findings = [finding for linter in self.linters for finding in linter.findings()]
        if lines := sorted(judge(findings, self.suppressions)):
            self.fail("\n" + "\n".join(lines))

    def test_every_suppression_has_a_reason(self):
        for source in SOURCES:
            with self.subTest(source):
                self.assertEqual([], list(unexplained(source, (REPOSITORY / source).read_text(), load(source))))


class Judgement(unittest.TestCase):
    def test_what_is_found_is_suppressed_or_said(self):
        found = Finding("dev/network.json", "VPC", "CKV_AWS_1", "no logs")
        suppression = Suppression("network", "VPC", "CKV_AWS_1")
        self.assertEqual([], list(judge([found], [suppression])))
        self.assertEqual(["dev/network.json: VPC: CKV_AWS_1: no logs"], list(judge([found], [])))
        for other in [Suppression("cache", "VPC", "CKV_AWS_1"), Suppression("network", "Vpc", "CKV_AWS_1"),
                      Suppression("network", "VPC", "CKV_AWS_2")]:
            self.assertEqual(["dev/network.json: VPC: CKV_AWS_1: no logs", str(other)], list(judge([found], [other])))

    def test_suppressions_are_taken_out_of_a_template(self):
        metadata = {"cfn-lint": {"config": {"ignore_checks": ["W1"]}}, "checkov": {"skip": [{"id": "CKV_AWS_1"}]}}
        stripped, suppressions = without_suppressions("a", {"Resources": {"B": {"Type": "A::B", "Metadata": metadata}}})
        self.assertEqual({"Resources": {"B": {"Type": "A::B", "Metadata": {}}}}, stripped)
        self.assertEqual({Suppression("a", "B", "W1"), Suppression("a", "B", "CKV_AWS_1")}, suppressions)

    def test_a_reason_is_missed(self):
        def missed(lines: list[str], skip: dict) -> list[str]:
            template = {"Resources": {"B": {"Type": "A::B", "Metadata": {"checkov": {"skip": [skip]}}}}}
            return list(unexplained("a.yaml", "\n".join(lines), template))

        explained = {"id": "CKV_AWS_1", "comment": "because"}
        self.assertEqual([], missed(["# Because.", "ignore_checks: [W1030]"], explained))
        self.assertEqual([], missed(["ignore_checks:", "- ES6000 # Because"], explained))
        self.assertEqual(["a.yaml:2: say in a comment why ES6000 is ignored"],
                         missed(["ignore_checks:", "- ES6000"], explained))
        self.assertEqual(["a.yaml: B skips CKV_AWS_1: say why in its comment"], missed([], {"id": "CKV_AWS_1"}))
