//! The OpenAPI document of a service, generated from its code.

use std::collections::BTreeMap;

use problem_details::ProblemBody;
use utoipa::{
    OpenApi,
    openapi::{
        Content, ContentBuilder, Ref, RefOr, ResponseBuilder,
        path::{HttpMethod, OperationBuilder, PathItem},
        response::Response as ResponseDoc,
    },
};

use crate::{Service, standard_routes::Health};

/// The OpenAPI 3.1 document of a service: its own routes and the standard ones. `Service::OPENAPI` is its text.
pub fn openapi<S: Service>() -> utoipa::openapi::OpenApi {
    let mut document = S::documentation();
    document.merge(Shared::openapi());
    document.info = utoipa::openapi::InfoBuilder::new()
        .title(S::NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .license(None)
        .build();
    let collection = S::COLLECTION;
    let health = ContentBuilder::new().schema(Some(Ref::from_schema_name("Health"))).build();
    for (path, tag, name, summary, content) in [
        ("health/live", "health", "live", "Is the function running?", health.clone()),
        ("health/ready", "health", "ready", "Can it do its work?", health),
        ("openapi.json", "documentation", "openapi", "This document", ContentBuilder::new().build()),
    ] {
        let ok = ResponseBuilder::new().description("Success").content("application/json", content);
        let operation = OperationBuilder::new()
            .tag(tag)
            .operation_id(Some(format!("{collection}_{name}")))
            .summary(Some(summary))
            .response("200", ok.build());
        let item = PathItem::new(HttpMethod::Get, operation);
        document.paths.paths.insert(format!("/api/{collection}/{path}"), item);
    }
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            describe_errors(&mut operation.responses.responses, &problem);
        }
    }
    document
}

/// Every error is a problem, those that a route documents and all others.
fn describe_errors(responses: &mut BTreeMap<String, RefOr<ResponseDoc>>, problem: &Content) {
    responses
        .entry("default".to_owned())
        .or_insert_with(|| ResponseBuilder::new().description("Any other error (RFC 9457)").build().into());
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && response.content.is_empty()
            && !status.starts_with(['2', '3'])
        {
            response.content.insert("application/problem+json".to_owned(), problem.clone().into());
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    components(schemas(Health, ProblemBody<'static>)),
    modifiers(&BearerToken)
)]
struct Shared;

/// The ways in which callers say who they are.
struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme::ApiKey as Key,
            SecurityScheme::Http,
        };
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearer", Http(bearer));
        components.add_security_scheme("api_key", Key(ApiKey::Header(ApiKeyValue::new("x-api-key"))));
    }
}
