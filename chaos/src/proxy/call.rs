use http::{HeaderMap, header::CONTENT_TYPE};

use crate::plan::Kind;

/// What a function asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) operation: String,
}

/// The services that can be hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Service {
    DynamoDb,
    SecretsManager,
    Sns,
    Sqs,
    /// Whatever else: it is only passed on.
    Other,
}

impl Service {
    /// What can hit a call of this service; the first that does is injected.
    pub(super) fn kinds(self) -> &'static [Kind] {
        use Kind::*;
        match self {
            Self::DynamoDb => &[DynamodbThrottled, DynamodbFailing, Slow, Late, ResetBefore, ResetAfter],
            Self::SecretsManager => &[SecretsDown, Slow, ResetBefore, ResetAfter],
            Self::Sns => &[SnsFailing, Slow, Late, ResetBefore, ResetAfter, SnsEntries],
            Self::Sqs => &[Slow, Late, ResetBefore, ResetAfter],
            Self::Other => &[],
        }
    }
}

impl Call {
    /// Most services are asked in JSON, with a header that names service and operation; SNS with a form.
    pub(super) fn of(headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some((target, operation)) = text("x-amz-target").split_once('.') {
            let service = match target {
                "DynamoDB_20120810" => Service::DynamoDb,
                "secretsmanager" => Service::SecretsManager,
                "AmazonSQS" => Service::Sqs,
                _ => Service::Other,
            };
            return Self { service, operation: operation.to_owned() };
        }
        let is_form = text(CONTENT_TYPE.as_str()).starts_with("application/x-www-form-urlencoded");
        let action = form_urlencoded::parse(body).find(|(name, _)| is_form && name == "Action");
        match action {
            Some((_, action)) => Self { service: Service::Sns, operation: action.into_owned() },
            None => Self { service: Service::Other, operation: String::new() },
        }
    }

    /// Whether this kind makes sense for it.
    pub(super) fn is_open_to(&self, kind: Kind) -> bool {
        kind != Kind::SnsEntries || self.operation == "PublishBatch"
    }

    /// As it is counted: `DynamoDB PutItem`.
    pub(super) fn name(&self) -> String {
        let service = match self.service {
            Service::DynamoDb => "DynamoDB",
            Service::SecretsManager => "Secrets Manager",
            Service::Sns => "SNS",
            Service::Sqs => "SQS",
            Service::Other => "another service",
        };
        format!("{service} {}", self.operation)
    }
}
