"""Which service may call a function."""

import json

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import request_scope
from ministack.services import apigateway, lambda_svc


def http_api_permissions() -> None:
    """Upstream lets an HTTP API call any function; AWS asks the function's policy, and answers 500 to the request if
    that does not name the API."""
    invoke = apigateway._invoke_lambda_proxy

    async def invoke_allowed(integration, api_id, stage, path, method, *rest, **more):
        function = apigateway._extract_lambda_ref_from_integration_uri(integration["integrationUri"])
        called = parse_arn(function)
        source = f"arn:aws:execute-api:{called.region}:{called.account_id}:{api_id}/{stage}/{method}{path}"
        if app.AUTH and not may_invoke("apigateway.amazonaws.com", function, source):
            body = json.dumps({"message": "Internal Server Error"})
            return 500, {"Content-Type": "application/json"}, body.encode()
        return await invoke(integration, api_id, stage, path, method, *rest, **more)

    apigateway._invoke_lambda_proxy = invoke_allowed


def may_invoke(service: str, function_arn: str, source_arn: str) -> bool:
    """Whether a function's policy lets a service call it for one of the service's resources."""
    function = parse_arn(function_arn)
    name, _ = lambda_svc._resolve_name_and_qualifier(function_arn)
    with request_scope(function.account_id, function.region):
        called = lambda_svc._functions.get(name)
    context = iam_evaluator.EvalContext(
        principal_arn="*", principal_type="Service", principal_account="", action="lambda:InvokeFunction",
        resource_arn=function_arn, region=function.region,
        service_context={"aws:sourcearn": source_arn, "aws:sourceaccount": parse_arn(source_arn).account_id})
    policy = called["policy"] if called else None
    return iam_evaluator.evaluate_resource_policy(policy, context, service=service).decision == "Allow"
