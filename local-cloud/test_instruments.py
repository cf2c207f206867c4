"""What tests can do to the local cloud."""

import os
import signal
import unittest

from cloud_for_tests import ACCOUNT, Cloud, eventually

PROXY = "http://127.0.0.1:9"


class Instruments(unittest.TestCase):
    cloud: Cloud

    @classmethod
    def setUpClass(cls):
        cls.cloud = Cloud("", "--function-endpoint", PROXY)
        cls.addClassCleanup(cls.cloud.close)

    def setUp(self):
        self.addCleanup(self.cloud.instrument, "PUT", "faults", {"seed": 0})
        self.before = self.injected()

    def injected(self) -> dict[str, int]:
        return self.cloud.instrument("GET", "faults")

    def since(self, fault: str) -> int:
        return self.injected()[fault] - self.before[fault]

    def send(self, body: str, delay_s: int = 0) -> None:
        url = f"http://127.0.0.1:{self.cloud.port}/{ACCOUNT}/queue"
        self.cloud.client("sqs").send_message(QueueUrl=url, MessageBody=body, DelaySeconds=delay_s)

    def got(self, prefix: str) -> list[str]:
        return [body for body in self.cloud.messages() if body.startswith(prefix)]

    def test_messages_come_twice_and_out_of_order(self):
        self.cloud.instrument("PUT", "faults", {"seed": 1, "duplicate": 1, "delay": 0.5, "delay_seconds": 1})
        sent = [f"twice {number}" for number in range(8)]
        for body in sent:
            self.send(body)
        eventually(lambda: len(self.got("twice")) == 16)
        got = self.got("twice")
        self.assertEqual(sorted(got), sorted(sent * 2))
        self.assertNotEqual([body for number, body in enumerate(got) if body not in got[:number]], sent)
        self.assertEqual(self.since("duplicated"), 8)
        self.assertIn(self.since("delayed"), range(1, 8))

        self.cloud.instrument("PUT", "faults", {"seed": 1})
        self.send("once")
        self.send("the end")
        eventually(lambda: self.got("the end"))
        self.assertEqual(self.got("once"), ["once"])

    def test_a_batch_that_was_handled_comes_again(self):
        self.cloud.instrument("PUT", "faults", {"repeat_batch": 1})
        ids = self.cloud.put_rows({}, {})
        eventually(lambda: self.since("repeated") >= 2)
        self.cloud.instrument("PUT", "faults", {"seed": 2})
        after = self.cloud.put_rows({})
        eventually(lambda: self.cloud.batches_with(after))
        self.assertEqual(self.cloud.batches_with(ids), [ids] * (self.since("repeated") + 1))

    def test_waiting_messages_are_hastened_and_those_of_a_call_are_not(self):
        may_end = self.cloud.folder / "may-end"
        self.send(f"wait for {may_end}")
        eventually(lambda: self.got("wait for"))
        self.send("late", delay_s=600)
        self.assertEqual(self.cloud.instrument("POST", "hasten"), {"hastened": 1})
        eventually(lambda: self.got("late"))
        self.assertEqual(len(self.got("wait for")), 1)
        may_end.touch()

    def test_what_a_killed_function_had_comes_back(self):
        may_end = self.cloud.folder / "never"
        self.send(f"wait for {may_end} killed")
        eventually(lambda: self.got(f"wait for {may_end}"))

        killed, = (function for function in self.cloud.instrument("GET", "functions") if function["busy"])
        self.assertEqual((killed["function"], killed["trigger"]), ("function", "sqs"))
        os.kill(killed["pid"], signal.SIGKILL)
        eventually(lambda: self.cloud.instrument("POST", "hasten") == {"hastened": 1})
        eventually(lambda: len(self.got(f"wait for {may_end}")) == 2)
        (self.cloud.folder / "never killed").touch()

    def test_functions_find_aws_where_the_launcher_says(self):
        self.assertEqual(self.cloud.echo()["environment"]["AWS_ENDPOINT_URL"], PROXY)

    def test_unknown_instruments_and_faults_are_refused(self):
        address = f"http://127.0.0.1:{self.cloud.port}/_local_cloud/"
        self.assertEqual(self.cloud.request(address + "weather").status, 404)
        self.assertEqual(self.cloud.request(address + "faults", body=b'{"weather":1}', method="PUT").status, 400)


if __name__ == "__main__":
    unittest.main()
