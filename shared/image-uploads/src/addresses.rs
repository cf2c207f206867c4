use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sigv4::{
    http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_types::SdkConfig;
use domain_events::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    ImageUploads, Kind, UploadAnswer, UploadError, UploadRequest, bodies::UploadHeaders, file::FileId,
};

/// How long an upload may wait for its beginning.
const UPLOAD_TIME: Duration = Duration::from_secs(5 * 60);
/// Addresses of pictures are signed as of the beginning of such a period, so that they are the same throughout it and
/// caches know them again …
const PERIOD: Duration = Duration::from_secs(15 * 60);
/// … and are valid for the next one, too.
const READ_TIME: Duration = Duration::from_secs(30 * 60);

/// What a query leaves as it is (RFC 3986): signatures are made over exactly this form.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An address could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("an address can't be signed")]
pub struct SigningError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Where pictures are, and what signs their addresses.
///
/// It signs by itself, with the SDK's own signer: some ten microseconds for an address. The SDK's client would take each
/// through all that it does for a request, and would leave the checksum of an upload unsigned.
#[derive(Debug)]
pub(crate) struct Signer {
    config: SdkConfig,
    prefix: &'static str,
    bucket: String,
    cdn_url: Option<Arc<str>>,
    /// Address of the bucket.
    endpoint: OnceCell<Arc<str>>,
}

/// Where pictures are read at one moment.
pub struct Addresses {
    prefix: &'static str,
    base: Arc<str>,
    /// Absent if anybody may read them where they are: from a content delivery network.
    signature: Option<Signature>,
}

/// With what, when and for how long an address is signed.
struct Signature {
    identity: Identity,
    region: String,
    time: SystemTime,
    valid: Duration,
}

impl ImageUploads {
    /// Lets `owner` upload a file: notes that it is awaited, and answers where to send it.
    pub async fn ask(
        &self,
        owner: Uuid,
        request: &UploadRequest,
        now: Timestamp,
    ) -> Result<UploadAnswer, UploadError> {
        let file = FileId { owner, upload_id: Uuid::now_v7() };
        let headers = UploadHeaders {
            content_type: request.content_type,
            content_length: request.size.get().to_string(),
            if_none_match: "*",
            x_amz_checksum_sha256: request.sha256.to_base64(),
        };
        let url = self.signer.upload(file, &headers, now).await?;
        self.expect(file, request, now).await?;
        let expires_at = now.as_millis() + i64::try_from(UPLOAD_TIME.as_millis()).unwrap_or_default();
        Ok(UploadAnswer {
            upload_id: file.upload_id,
            status: "pending",
            method: "PUT",
            url,
            headers,
            expires_at: Timestamp::from_millis(expires_at),
        })
    }

    /// Where pictures are read now.
    pub async fn addresses(&self, now: Timestamp) -> Result<Addresses, SigningError> {
        self.signer.addresses(now).await
    }

    /// The period in which addresses stay the same: its number, counted from 1970. `None` if they always do.
    pub fn period(&self, now: Timestamp) -> Option<u64> {
        self.signer.cdn_url.is_none().then(|| period(now))
    }
}

impl Addresses {
    /// Where a picture is read.
    pub fn of(&self, file: FileId) -> Result<String, SigningError> {
        let url = format!("{}/{}", self.base, file.key(self.prefix));
        match &self.signature {
            None => Ok(url),
            Some(signature) => signature.sign("GET", url, &[]),
        }
    }
}

impl Signer {
    pub(crate) fn new(config: &SdkConfig, kind: Kind, bucket: &str, cdn_url: Option<String>) -> Self {
        Self {
            config: config.clone(),
            prefix: kind.prefix,
            bucket: bucket.to_owned(),
            cdn_url: cdn_url.map(Into::into),
            endpoint: OnceCell::new(),
        }
    }

    async fn addresses(&self, now: Timestamp) -> Result<Addresses, SigningError> {
        let (base, signature) = match &self.cdn_url {
            Some(url) => (Arc::clone(url), None),
            None => {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(period(now) * PERIOD.as_secs());
                (self.endpoint().await?, Some(self.signature(time, READ_TIME).await?))
            }
        };
        Ok(Addresses { prefix: self.prefix, base, signature })
    }

    /// The address to which a file can be put: exactly the one that is meant, with exactly these headers.
    async fn upload(
        &self,
        file: FileId,
        headers: &UploadHeaders,
        now: Timestamp,
    ) -> Result<String, SigningError> {
        let url = format!("{}/{}", self.endpoint().await?, file.key(self.prefix));
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_millis().unsigned_abs());
        let headers = [
            ("content-length", headers.content_length.as_str()),
            ("content-type", headers.content_type.as_str()),
            ("if-none-match", headers.if_none_match),
            ("x-amz-checksum-sha256", headers.x_amz_checksum_sha256.as_str()),
        ];
        self.signature(time, UPLOAD_TIME).await?.sign("PUT", url, &headers)
    }

    async fn signature(&self, time: SystemTime, valid: Duration) -> Result<Signature, SigningError> {
        let credentials = self.config.credentials_provider().ok_or_else(|| missing("credentials"))?;
        let credentials = credentials.provide_credentials().await.map_err(SigningError::of)?;
        Ok(Signature { identity: credentials.into(), region: self.region()?.to_owned(), time, valid })
    }

    fn region(&self) -> Result<&str, SigningError> {
        Ok(self.config.region().ok_or_else(|| missing("region"))?.as_ref())
    }

    /// Where S3 has the bucket, by the SDK's rules.
    async fn endpoint(&self) -> Result<Arc<str>, SigningError> {
        let endpoint = self.endpoint.get_or_try_init(async || {
            let own = self.config.endpoint_url();
            let place = Params::builder()
                .bucket(&self.bucket)
                .region(self.region()?)
                .set_endpoint(own.map(str::to_owned))
                // An endpoint of one's own has no name for each bucket.
                .force_path_style(own.is_some())
                .build()
                .map_err(SigningError::of)?;
            let endpoint = DefaultResolver::new().resolve_endpoint(&place).await;
            let endpoint = endpoint.map_err(SigningError)?;
            Ok(endpoint.url().trim_end_matches('/').into())
        });
        endpoint.await.cloned()
    }
}

impl Signature {
    /// Adds the signature to an address; who uses it has to send the headers.
    fn sign(&self, method: &str, mut url: String, headers: &[(&str, &str)]) -> Result<String, SigningError> {
        // As S3 wants it: paths are taken as they are.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(self.valid);
        let parameters = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("s3")
            .time(self.time)
            .settings(settings)
            .build()
            .map_err(SigningError::of)?
            .into();
        let body = SignableBody::UnsignedPayload;
        let request = SignableRequest::new(method, url.as_str(), headers.iter().copied(), body);
        let signed = sign(request.map_err(SigningError::of)?, &parameters).map_err(SigningError::of)?;
        for (position, (name, value)) in signed.output().params().iter().enumerate() {
            url.push(if position == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, ENCODED));
        }
        Ok(url)
    }
}

impl SigningError {
    fn of(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(error.into())
    }
}

fn period(now: Timestamp) -> u64 {
    now.as_seconds().unsigned_abs() / PERIOD.as_secs()
}

fn missing(what: &str) -> SigningError {
    SigningError(format!("the configuration has no {what}").into())
}

#[cfg(test)]
mod tests {
    use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
    use aws_types::region::Region;

    use super::*;
    use crate::image::ImageType;

    const KIND: Kind = Kind { prefix: "avatars", key: "user_id" };

    /// The credentials of the examples in Amazon's documentation.
    fn credentials(token: Option<&str>) -> Credentials {
        let (id, key) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        Credentials::new(id, key, token.map(str::to_owned), None, "documentation")
    }

    fn signer(endpoint: Option<&str>, cdn_url: Option<&str>) -> Signer {
        let config = SdkConfig::builder()
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials(Some("a+token/=="))));
        let config = match endpoint {
            Some(url) => config.endpoint_url(url).build(),
            None => config.build(),
        };
        Signer::new(&config, KIND, "dev-user-avatars-123456789012", cdn_url.map(str::to_owned))
    }

    fn file() -> FileId {
        FileId { owner: Uuid::from_u128(1), upload_id: Uuid::from_u128(2) }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// The value of a parameter, as it is written.
    fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
        let (_, query) = url.split_once('?')?;
        query.split('&').find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))
    }

    /// The example of a presigned address in Amazon's documentation of Signature Version 4.
    #[test]
    fn an_address_is_signed_as_amazon_does_it() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let (identity, region) = (credentials(None).into(), "us-east-1".to_owned());
        let signature = Signature { identity, region, time, valid: Duration::from_secs(86_400) };
        let url = "https://examplebucket.s3.amazonaws.com/test.txt";
        let signed = signature.sign("GET", url.to_owned(), &[]).unwrap();
        assert!(signed.starts_with(&format!("{url}?X-Amz-")), "{signed}");
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"),
            ("X-Amz-Date", "20130524T000000Z"),
            ("X-Amz-Expires", "86400"),
            ("X-Amz-SignedHeaders", "host"),
            ("X-Amz-Signature", "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
        ] {
            assert_eq!(parameter(&signed, name), Some(value), "{signed}");
        }
    }

    #[tokio::test]
    async fn an_upload_is_signed_with_its_kind_length_and_checksum() {
        let headers = UploadHeaders {
            content_type: ImageType::Png,
            content_length: "70".to_owned(),
            if_none_match: "*",
            x_amz_checksum_sha256: "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=".to_owned(),
        };
        let signed = async |headers: &UploadHeaders| {
            signer(None, Some("https://cdn.example.com")).upload(file(), headers, at(1_795_340_640_999)).await
        };
        let url = signed(&headers).await.unwrap();
        let place = "https://dev-user-avatars-123456789012.s3.eu-central-1.amazonaws.com/avatars/\
                     00000000-0000-0000-0000-000000000001/00000000-0000-0000-0000-000000000002";
        assert_eq!(url.split_once('?').unwrap().0, place);
        for (name, value) in [
            (
                "X-Amz-SignedHeaders",
                "content-length%3Bcontent-type%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256",
            ),
            ("X-Amz-Date", "20261122T094400Z"),
            ("X-Amz-Expires", "300"),
            ("X-Amz-Security-Token", "a%2Btoken%2F%3D%3D"),
        ] {
            assert_eq!(parameter(&url, name), Some(value), "{url}");
        }
        // No other checksum comes in, which the client would have to send.
        assert!(!url.to_lowercase().contains("crc"), "{url}");
        for other in [
            UploadHeaders { content_type: ImageType::Jpeg, ..headers.clone() },
            UploadHeaders { content_length: "71".to_owned(), ..headers.clone() },
            UploadHeaders { x_amz_checksum_sha256: "AAAA".to_owned(), ..headers.clone() },
        ] {
            let signature = |url: &str| parameter(url, "X-Amz-Signature").map(str::to_owned);
            assert_ne!(signature(&url), signature(&signed(&other).await.unwrap()));
        }
    }

    #[tokio::test]
    async fn a_picture_keeps_its_address_for_a_quarter_of_an_hour_and_it_outlives_that() {
        let signer = signer(Some("http://127.0.0.1:4566"), None);
        let addresses = async |millis| signer.addresses(at(millis)).await.unwrap();
        let first = addresses(1_795_340_700_000).await;
        let url = first.of(file()).unwrap();
        assert!(url.starts_with("http://127.0.0.1:4566/dev-user-avatars-123456789012/avatars/"), "{url}");
        assert_eq!(parameter(&url, "X-Amz-Date"), Some("20261122T094500Z"));
        assert_eq!(parameter(&url, "X-Amz-Expires"), Some("1800"));
        assert_eq!(addresses(1_795_341_599_999).await.of(file()).unwrap(), url);
        assert_ne!(addresses(1_795_341_600_000).await.of(file()).unwrap(), url);
    }

    #[tokio::test]
    async fn a_content_delivery_network_needs_no_signature() {
        let signer = signer(None, Some("https://cdn.example.com"));
        let addresses = signer.addresses(at(0)).await.unwrap();
        let place = "https://cdn.example.com/avatars/00000000-0000-0000-0000-000000000001/\
                     00000000-0000-0000-0000-000000000002";
        assert_eq!(addresses.of(file()).unwrap(), place);
    }
}
