use aws_lambda_events::s3::S3Event;
use dynamodb_store::StoreError;
use lambda_dispatch::{HandlerError, Unreadable};
use telemetry::Trace;
use uuid::Uuid;

use crate::{
    ImageUploads, UploadError,
    bucket::Inspection,
    file::FileId,
    image::Image,
    rows::{Declared, Reason, State, Upload},
};

/// How often it is decided anew because others changed the upload meanwhile.
const TRIES: usize = 5;

/// Those whose pictures they are.
pub trait Owners: Sync {
    /// Whether a file is a picture of its owner, seen after everything that was written before.
    fn holds(&self, file: FileId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Makes a file a picture of its owner, in one transaction with [`ImageUploads::attached`].
    fn attach(&self, file: FileId, image: Image) -> impl Future<Output = Result<Outcome, StoreError>> + Send;
}

/// How making a file a picture of its owner went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is one.
    Attached,
    /// It can't be one.
    Refused(Reason),
    /// There is no such owner.
    NoOwner,
    /// The file is not awaited any more.
    NotAwaited,
}

/// What the upload's row says about a file that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is awaited.
    Inspect(Declared),
    /// If its owner does not have it, it is of no use.
    AskTheOwner,
    Erase,
}

impl ImageUploads {
    /// Does what has to be done about the files that the bucket tells of. It can be repeated at any time, and also
    /// after it was broken off anywhere.
    pub async fn arrived(&self, notification: &S3Event, owners: &impl Owners) -> Result<(), HandlerError> {
        let (mut failed, mut foreign) = (None, None);
        for record in &notification.records {
            match FileId::notified(record, self.bucket.name(), self.kind.prefix) {
                Ok(file) => failed = failed.or(self.settle(file, owners).await.err()),
                Err(error) => foreign = foreign.or(Some(error)),
            }
        }
        match (failed, foreign) {
            // What may succeed later comes first, so that the message comes again for it.
            (Some(failed), _) => Err(failed.into()),
            (None, Some(foreign)) => Err(Unreadable::new(foreign).into()),
            (None, None) => Ok(()),
        }
    }

    /// Erases a file that is of no more use.
    pub async fn erase(&self, file: FileId) -> Result<(), UploadError> {
        Ok(self.bucket.erase(&file.key(self.kind.prefix)).await?)
    }

    /// Erases all files of an owner who is gone.
    pub async fn erase_all(&self, owner: Uuid) -> Result<(), UploadError> {
        Ok(self.bucket.erase(&FileId::folder(self.kind.prefix, owner)).await?)
    }

    async fn settle(&self, file: FileId, owners: &impl Owners) -> Result<(), UploadError> {
        for _ in 0..TRIES {
            let upload = self.find(file).await?;
            let trace = upload.as_ref().and_then(|upload| upload.traceparent.as_deref());
            let settled = self.take(Step::of(upload.as_ref()), file, owners);
            let settled = match trace.and_then(Trace::from_traceparent) {
                Some(trace) => trace.scope(settled).await?,
                None => settled.await?,
            };
            if settled {
                return Ok(());
            }
        }
        Err(StoreError::Conflict("the upload was changed at every try".into()).into())
    }

    /// Takes a step. `false`: the upload has changed meanwhile, and it has to be decided anew.
    async fn take(&self, step: Step, file: FileId, owners: &impl Owners) -> Result<bool, UploadError> {
        let declared = match step {
            Step::Inspect(declared) => declared,
            Step::AskTheOwner if owners.holds(file).await? => return Ok(true),
            Step::AskTheOwner | Step::Erase => return self.erase(file).await.map(|()| true),
        };
        let reason = match self.bucket.inspect(&file.key(self.kind.prefix), declared).await? {
            Inspection::Missing => return Ok(true),
            Inspection::Refused(reason) => reason,
            Inspection::Image(image) => match owners.attach(file, image).await? {
                Outcome::Attached => return Ok(true),
                Outcome::NoOwner => return self.erase(file).await.map(|()| true),
                Outcome::NotAwaited => return Ok(false),
                Outcome::Refused(reason) => reason,
            },
        };
        // First the reason, for its owner to see; a file without it would come again.
        match self.refuse(file, reason).await {
            Ok(()) => self.erase(file).await.map(|()| true),
            Err(StoreError::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Step {
    fn of(upload: Option<&Upload>) -> Self {
        match upload.map(|upload| upload.state) {
            Some(State::Pending(declared)) => Self::Inspect(declared),
            // Without a row, it may be a picture whose row has expired: messages can be old.
            Some(State::Attached) | None => Self::AskTheOwner,
            Some(State::Refused(_) | State::Removed) => Self::Erase,
        }
    }
}
