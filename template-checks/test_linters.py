"""cfn-lint, the serverless rules for it, and checkov find nothing.

    .local/venv/bin/python -m unittest discover -s template-checks

The linters see what would be deployed with each set of parameters, as it is written to `.local/template-checks/`;
cfn-lint sees the sources, too. What they may not complain about stands on the resource, in its `Metadata`.
"""

import hashlib
import subprocess
import sys
import unittest
from pathlib import Path

from expansion import REPOSITORY, expand, write
from variants import variants

EXPANDED = REPOSITORY / ".local/template-checks"
CHECKOV = REPOSITORY / ".local/checkov/bin/checkov"
CFN_LINT = Path(sys.executable).parent / "cfn-lint"
DEADLINE_S = 300


class Linters(unittest.TestCase):
    processes: dict[str, subprocess.Popen]

    @classmethod
    def setUpClass(cls):
        distinct = distinct_templates()
        sources = [str(REPOSITORY / "template.yaml"), *map(str, sorted((REPOSITORY / "stacks").glob("*.yaml")))]
        commands = {
            "sources": [CFN_LINT, "--format", "parseable", "--", *sources],
            # The addresses of nested templates are files, as before `sam deploy` (W3002).
            "deployed": [CFN_LINT, "--format", "parseable", "--append-rules", "cfn_lint_serverless.rules",
                         "--ignore-checks", "W3002", "--", *distinct],
            # Nothing is asked of the network.
            "checkov": [CHECKOV, "--framework", "cloudformation", "--skip-download", "--quiet", "--compact",
                        "--file", *distinct],
        }
        cls.processes = {}
        for name, command in commands.items():
            cls.processes[name] = process = subprocess.Popen(
                command, cwd=EXPANDED, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            cls.addClassCleanup(process.__exit__, None, None, None)
            cls.addClassCleanup(process.kill)

    def verify(self, name: str) -> None:
        process = self.processes[name]
        output, _ = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 0, f"in {EXPANDED.relative_to(REPOSITORY)}:\n{output}")

    def test_cfn_lint_finds_nothing_in_the_sources(self):
        self.verify("sources")

    def test_cfn_lint_and_the_serverless_rules_find_nothing_in_what_is_deployed(self):
        self.verify("deployed")

    def test_checkov_finds_nothing_in_what_is_deployed(self):
        self.verify("checkov")


def distinct_templates() -> list[str]:
    """The expanded templates of all variants, of several that are alike only one."""
    found: dict[str, str] = {}
    for variant, parameters in variants().items():
        for path in write(expand(parameters), EXPANDED / variant):
            found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), str(path.relative_to(EXPANDED)))
    return list(found.values())
