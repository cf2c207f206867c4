"""The checks of the corrections of load balancers, for `test_launcher.py`."""

import json
import urllib.error
import urllib.request
from typing import Any

from cloud_for_tests import ACCOUNT, Answer, Cloud

CERTIFICATE = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/00000000-0000-0000-0000-000000000000"


class LoadBalancerChecks:
    def test_load_balancer_targets(self):
        def check(cloud: Cloud):
            balance(cloud, "targets")
            self.assertEqual(request(cloud, "targets", "/").status, 200)
            stack = create(cloud, "stranger", permission_for="another")
            self.assertEqual(stack["StackStatus"], "ROLLBACK_COMPLETE")

        self.verify("load-balancer-targets", "registers the targets of a group", check)

    def test_load_balancer_events(self):
        def check(cloud: Cloud):
            balance(cloud, "events")
            event = json.loads(request(cloud, "events", "/a%20b/%2541?a=1&a=%26+2&b").body)["event"]
            self.assertEqual(event["path"], "/a%20b/%2541")
            self.assertEqual(event["multiValueQueryStringParameters"], {"a": ["1", "%26+2"], "b": [""]})
            self.assertEqual(event["multiValueHeaders"]["x-forwarded-proto"], ["http"])
            self.assertNotIn("headers", event)
            self.assertNotIn("queryStringParameters", event)

        self.verify("load-balancer-events", "makes events as AWS does", check)

    def test_load_balancer_https(self):
        def check(cloud: Cloud):
            balance(cloud, "https", https=True)
            answer = request(cloud, "https", "/")
            self.assertEqual(answer.status, 200)
            event = json.loads(answer.body)["event"]
            self.assertEqual(event["multiValueHeaders"]["x-forwarded-proto"], ["https"])
            redirect = request(cloud, "https", "/a?b=1", {"host": "shop.example:80"})
            self.assertEqual(redirect.status, 301)
            self.assertEqual(redirect.headers["location"], "https://shop.example:443/a?b=1")

        self.verify("load-balancer-https", "takes its port for the HTTPS listener's", check)


def balance(cloud: Cloud, name: str, https: bool = False) -> None:
    stack = create(cloud, name, permission_for=name, https=https)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise AssertionError(stack.get("StackStatusReason"))


def create(cloud: Cloud, name: str, permission_for: str, https: bool = False) -> dict[str, Any]:
    """Try to put a load balancer in front of the test function, which the target group of a name may call."""
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:function"
    group = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:targetgroup/{permission_for}/*"
    forward = {"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}
    redirect = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}
    resources = {
        "Balancer": resource("LoadBalancer", Name=name),
        "Permission": {"Type": "AWS::Lambda::Permission", "Properties": {
            "FunctionName": function, "Action": "lambda:InvokeFunction",
            "Principal": "elasticloadbalancing.amazonaws.com", "SourceArn": group}},
        "Group": resource(
            "TargetGroup", Name=name, TargetType="lambda", Targets=[{"Id": function}],
            TargetGroupAttributes=[{"Key": "lambda.multi_value_headers.enabled", "Value": "true"}]),
        "Http": resource(
            "Listener", LoadBalancerArn={"Ref": "Balancer"}, Port=80, Protocol="HTTP",
            DefaultActions=[redirect if https else forward]),
    }
    resources["Group"]["DependsOn"] = "Permission"
    if https:
        resources["Https"] = resource(
            "Listener", LoadBalancerArn={"Ref": "Balancer"}, Port=443, Protocol="HTTPS", DefaultActions=[forward],
            Certificates=[{"CertificateArn": CERTIFICATE}])
    return cloud.create_stack(name, json.dumps({"Resources": resources}))


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::ElasticLoadBalancingV2::{kind}", "Properties": properties}


def request(cloud: Cloud, name: str, path: str, headers: dict[str, str] | None = None) -> Answer:
    """One request to a load balancer; a redirect is an answer like any other."""
    url = f"http://127.0.0.1:{cloud.port}/_alb/{name}{path}"
    opener = urllib.request.build_opener(Unfollowed)
    try:
        with opener.open(urllib.request.Request(url, headers=headers or {})) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


class Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_) -> None:
        return None
