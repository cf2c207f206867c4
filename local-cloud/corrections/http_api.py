"""HTTP APIs as `AWS::Serverless::HttpApi` describes them."""

import json
from typing import Any

from ministack.services import apigateway
from ministack.services.cloudformation import provisioners

INTEGRATIONS = "x-amazon-apigateway-integrations"
EXPOSE_HEADERS = "access-control-expose-headers"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}


def http_api_import() -> None:
    """Upstream ignores the `Body` of an `AWS::ApiGatewayV2::Api`, the OpenAPI document in which SAM puts the
    routes, integrations and CORS rules of an HTTP API: every request is answered with 404."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    create_api, update_api = handlers["create"], handlers["update"]

    def create(logical_id, properties, stack_name):
        created = create_api(logical_id, properties, stack_name)
        _import(created[0], properties.get("Body") or {})
        return created

    def update(api_id, old, new, stack_name, logical_id=None):
        updated = update_api(api_id, old, new, stack_name, logical_id)
        _import(updated[0], new.get("Body") or {})
        return updated

    handlers.update(create=create, update=update)


def _import(api_id: str, document: dict[str, Any]) -> None:
    apigateway._routes[api_id] = {}
    apigateway._integrations[api_id] = {}
    # Operations that refer to the same component share its integration.
    components = document.get("components", {}).get(INTEGRATIONS, {})
    targets = {f"#/components/{INTEGRATIONS}/{name}": _add_integration(api_id, integration)
               for name, integration in components.items()}
    for path, item in document.get("paths", {}).items():
        for key, operation in item.items():
            if key == "x-amazon-apigateway-any-method":
                _add_route(api_id, "ANY", path, operation, targets)
            elif key in METHODS:
                _add_route(api_id, key.upper(), path, operation, targets)
    if cors := document.get("x-amazon-apigateway-cors"):
        apigateway._apis[api_id]["corsConfiguration"] = cors


def _add_route(api_id: str, method: str, path: str, operation: dict[str, Any], targets: dict[str, str]) -> None:
    route_key = "$default" if path.lstrip("/") == "$default" else f"{method} {path}"
    if operation.get("security"):
        raise ValueError(f"route {route_key}: the local cloud imports no authorizers")
    integration = operation["x-amazon-apigateway-integration"]
    if reference := integration.get("$ref"):
        if reference not in targets:
            raise ValueError(f"route {route_key}: there is no integration {reference}")
        target = targets[reference]
    else:
        target = _add_integration(api_id, integration)
    _checked(apigateway._create_route(api_id, {"routeKey": route_key, "target": target}))


def _add_integration(api_id: str, integration: dict[str, Any]) -> str:
    """The new integration as routes name it."""
    created = _checked(apigateway._create_integration(api_id, {
        "integrationType": integration["type"].upper(),
        "integrationUri": integration["uri"],
        "integrationMethod": integration["httpMethod"],
        "payloadFormatVersion": integration["payloadFormatVersion"],
    }))
    return f"integrations/{created['integrationId']}"


def _checked(response: tuple) -> dict[str, Any]:
    status, _, body = response
    if status >= 400:
        raise ValueError(f"the HTTP API can't be imported: {body!r}")
    return json.loads(body)


def http_api_accounts() -> None:
    """Upstream looks for an API in the caller's account only, and takes a caller without a signature for one of
    the default account: an API in another account (a 12-digit access key) is out of an ordinary client's reach."""
    find_in_account = apigateway.find_api_scope

    def find(api_id):
        apis = (key for key, _ in apigateway._apis.all_items())
        elsewhere = ((account, region) for account, region, known in apis if known == api_id)
        return find_in_account(api_id) or next(elsewhere, None)

    apigateway.find_api_scope = find


def http_preflights() -> None:
    """Upstream answers every OPTIONS request itself, and with 403 where it doesn't know the origin. On AWS a route that
    takes any method gets it, and an allowed origin's preflight the API's headers with the answer, but for those that
    only other answers have. Without a route AWS answers itself, with 204 in either case."""
    execute, invoke = apigateway._handle_execute_in_scope, apigateway._invoke_lambda_proxy
    # Upstream does not look for a route if the method is OPTIONS.
    routed = "options"

    async def execute_routed(api_id, stage, path, method, headers, *rest):
        api = apigateway._apis.get(api_id) or {}
        if method != "OPTIONS" or not api.get("corsConfiguration"):
            return await execute(api_id, stage, path, method, headers, *rest)
        preflight = _preflight_headers(api["corsConfiguration"], headers)
        if not apigateway._match_route(api_id, method, "/" + path.lstrip("/")):
            return 204, preflight, b""
        status, answered, body = await execute(api_id, stage, path, routed, headers, *rest)
        if preflight:
            answered = {name: value for name, value in answered.items() if name.lower() != EXPOSE_HEADERS}
        return status, {**answered, **preflight}, body

    async def invoke_function(integration, api_id, stage, path, method, *rest, **more):
        method = "OPTIONS" if method == routed else method
        return await invoke(integration, api_id, stage, path, method, *rest, **more)

    apigateway._handle_execute_in_scope, apigateway._invoke_lambda_proxy = execute_routed, invoke_function


def _preflight_headers(cors: dict[str, Any], request_headers: dict[str, str]) -> dict[str, str]:
    """What the answer to a request has, if it is a preflight of an allowed origin."""
    names = {name.lower(): value for name, value in request_headers.items()}
    if "access-control-request-method" not in names:
        return {}
    status, headers, _ = apigateway._cors_preflight_response(cors, names.get("origin", ""))
    left_out = {EXPOSE_HEADERS, "content-length"}
    return {name: value for name, value in headers.items() if status == 204 and name.lower() not in left_out}
