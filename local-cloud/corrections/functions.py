"""Functions: as stacks describe them, and the environments that they run in."""

from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

# By what `GetFunctionConfiguration` calls them.
FORGOTTEN = {"VpcConfig": "VpcConfig", "KMSKeyArn": "KmsKeyArn"}


def function_properties() -> None:
    """Upstream forgets a function's VPC and key. They change nothing here, but belong to what a version is published
    with and what a client is shown."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create_function, update_function = handlers["create"], handlers["update"]

    def create(logical_id, properties, stack_name):
        created = create_function(logical_id, properties, stack_name)
        _remember(created[0], properties)
        return created

    def update(name, old, new, stack_name, logical_id=None):
        updated = update_function(name, old, new, stack_name, logical_id)
        _remember(updated[0], new)
        return updated

    handlers.update(create=create, update=update)


def _remember(name: str, properties: dict[str, Any]) -> None:
    config = lambda_svc._functions[name]["config"]
    for shown, described in FORGOTTEN.items():
        config.pop(shown, None)
        if properties.get(described):
            config[shown] = properties[described]


def failed_starts() -> None:
    """Upstream ends every environment of a function, also those with a call, when one of them can't start; on AWS that
    concerns nobody but the call that it was started for."""
    invoke = lambda_runtime.ProvidedWorker.invoke

    def invoke_alone(worker, *arguments, **options):
        try:
            return invoke(worker, *arguments, **options)
        except Exception as error:
            text = str(error)
            payload = {"errorMessage": text, "errorType": getattr(error, "error_type", "Runtime.Unknown")}
            return {"status": "error", "error": text, "error_payload": payload, "log": ""}

    lambda_runtime.ProvidedWorker.invoke = invoke_alone
