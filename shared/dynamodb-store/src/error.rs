use std::error::Error as StdError;
use std::fmt;

use aws_sdk_dynamodb::Error as ServiceError;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::table::Item;

type Source = Box<dyn StdError + Send + Sync>;

/// Why an operation of the store did not succeed, sorted by what the caller can do about it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The row is not in the state that the write requires.
    #[error("the row is not in the required state")]
    ConditionFailed {
        /// The row as it is; `None` when there is none.
        item: Option<Item>,
    },
    /// Other writers kept changing the same rows until all tries were used up.
    #[error("the row is being changed by others")]
    Conflict(#[source] Source),
    /// DynamoDB asked to slow down until all tries were used up.
    #[error("the table is throttled")]
    Throttled(#[source] Source),
    /// No answer in time. A write may or may not have happened.
    #[error("the table did not answer in time")]
    Timeout(#[source] Source),
    /// DynamoDB could not be reached or failed. A write may or may not have happened.
    #[error("the table is unavailable")]
    Unavailable(#[source] Source),
    /// DynamoDB refused the request itself: a mistake in code, template or permissions that no retry mends.
    #[error("the table rejected the request")]
    Rejected(#[source] Source),
    /// A row or value does not have the shape that the code expects.
    #[error("malformed row: not a {row}")]
    Malformed {
        /// The Rust type that was to be read or written.
        row: &'static str,
        /// What is wrong with it.
        source: Source,
    },
}

impl StoreError {
    /// Whether the same operation can succeed later, unchanged.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict(_) | Self::Throttled(_) | Self::Timeout(_) | Self::Unavailable(_) => true,
            Self::ConditionFailed { .. } | Self::Rejected(_) | Self::Malformed { .. } => false,
        }
    }

    pub(crate) fn malformed<T: ?Sized>(source: impl Into<Source>) -> Self {
        Self::Malformed { row: std::any::type_name::<T>(), source: source.into() }
    }
}

/// As `Display`, with the cause: a row in an error never reaches a log.
impl fmt::Debug for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")?;
        match self.source() {
            Some(source) => write!(formatter, ": {source:?}"),
            None => Ok(()),
        }
    }
}

impl<E> From<SdkError<E, HttpResponse>> for StoreError
where
    E: StdError + Send + Sync + 'static,
    ServiceError: From<SdkError<E, HttpResponse>>,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match error {
            SdkError::TimeoutError(_) => Self::Timeout(source(error)),
            SdkError::DispatchFailure(ref failure) if failure.is_timeout() => Self::Timeout(source(error)),
            SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Self::Unavailable(source(error)),
            SdkError::ServiceError(ref answer) => {
                let failed_inside = answer.raw().status().is_server_error();
                Self::from_answer(error.into(), failed_inside)
            }
            _ => Self::Rejected(source(error)),
        }
    }
}

impl StoreError {
    fn from_answer(error: ServiceError, failed_inside: bool) -> Self {
        match error {
            ServiceError::ConditionalCheckFailedException(failure) => {
                Self::ConditionFailed { item: failure.item }
            }
            ServiceError::TransactionConflictException(_)
            | ServiceError::TransactionInProgressException(_)
            | ServiceError::ReplicatedWriteConflictException(_) => Self::Conflict(error.into()),
            ServiceError::ProvisionedThroughputExceededException(_)
            | ServiceError::RequestLimitExceeded(_)
            | ServiceError::ThrottlingException(_) => Self::Throttled(error.into()),
            // Newer or unmodelled throttling errors arrive as an unhandled error with a code.
            _ if error.code().is_some_and(|code| code.contains("Throttl")) => Self::Throttled(error.into()),
            _ if failed_inside => Self::Unavailable(error.into()),
            _ => Self::Rejected(error.into()),
        }
    }
}

/// The cause without the raw answer, which can hold rows and must not reach a log through `Debug`.
fn source<E>(error: SdkError<E, HttpResponse>) -> Source
where
    E: StdError + Send + Sync + 'static,
{
    error.into_source().unwrap_or_else(|error| error.into())
}
