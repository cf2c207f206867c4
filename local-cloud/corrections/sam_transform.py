"""The SAM transform."""

import contextvars

from ministack.services.cloudformation import changesets, engine, handlers
from samtranslator.translator import transform


def sam_parameters() -> None:
    """Upstream tells SAM no parameters, which then takes each one's default; AWS tells it those of the deployment. SAM
    itself decides by them, for instance whether a function gets a deployment group."""
    parameters = contextvars.ContextVar("parameters")
    apply_transforms, transform_by_sam = engine._apply_transforms, transform.transform

    def apply(template, provided=None, previous=None):
        token = parameters.set(engine._transform_parameters(template, provided, previous))
        try:
            return apply_transforms(template, provided, previous)
        finally:
            parameters.reset(token)

    for module in (changesets, engine, handlers):
        module._apply_transforms = apply
    transform.transform = lambda template, _none, policies: transform_by_sam(template, parameters.get(), policies)
