//! Files as a client uploads them: asked for at the API, sent to the bucket, followed until they are attached or refused.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::http::{HeaderMap, Request};

use crate::{
    client::{Answer, Client, PATIENCE, eventually},
    cloud,
};

/// What some sets of parameters in `template-checks/variants.json` say about pictures' addresses.
const CDN: &str = "https://img.shop.example";
/// The sides of every picture in `samples/`.
pub(crate) const SIDES: (u64, u64) = (48, 32);

/// Bytes, and what they are said to be.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl File {
    pub(crate) fn png() -> Self {
        Self::new("image/png", include_bytes!("../../samples/picture.png"))
    }

    pub(crate) fn jpeg() -> Self {
        Self::new("image/jpeg", include_bytes!("../../samples/picture.jpeg"))
    }

    pub(crate) fn webp() -> Self {
        Self::new("image/webp", include_bytes!("../../samples/picture.webp"))
    }

    pub(crate) fn avif() -> Self {
        Self::new("image/avif", include_bytes!("../../samples/picture.avif"))
    }

    pub(crate) fn new(content_type: &'static str, bytes: &[u8]) -> Self {
        Self { content_type, bytes: bytes.to_vec() }
    }

    /// The same picture as a file of its own. What follows a picture's end belongs to none of its parts.
    pub(crate) fn marked(mut self, mark: &str) -> Self {
        self.bytes.extend(mark.as_bytes());
        self
    }

    /// What the API wants to know of it.
    pub(crate) fn request(&self) -> Value {
        let digest = Sha256::digest(&self.bytes);
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "content_type": self.content_type, "size": self.bytes.len(), "sha256": sha256 })
    }

    /// As S3 wants to have it said.
    pub(crate) fn checksum(&self) -> String {
        STANDARD.encode(Sha256::digest(&self.bytes))
    }
}

/// Who shows pictures.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Album<'a> {
    /// Somebody's avatar.
    Avatar(&'a Client),
    /// A product's images, which administrators look after.
    Product(&'a Client, &'a str),
}

/// What the API answers to somebody who wants to upload a file.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) url: String,
    /// What has to be sent with it, but for the length, which every client sends.
    pub(crate) headers: Vec<(String, String)>,
    /// Where the API tells what has become of it.
    pub(crate) location: String,
}

impl<'a> Album<'a> {
    fn client(self) -> &'a Client {
        match self {
            Self::Avatar(client) | Self::Product(client, _) => client,
        }
    }

    pub(crate) fn bucket(self) -> String {
        match self {
            Self::Avatar(_) => cloud::bucket("user-avatars"),
            Self::Product(..) => cloud::bucket("product-images"),
        }
    }

    /// Where the API takes wishes for uploads.
    pub(crate) fn path(self) -> String {
        match self {
            Self::Avatar(_) => "/api/users/me/avatar".to_owned(),
            Self::Product(_, product) => format!("/api/products/{product}/images"),
        }
    }

    /// How the keys of all objects in it begin.
    pub(crate) fn prefix(self) -> String {
        match self {
            Self::Avatar(client) => format!("avatars/{}/", client.user_id),
            Self::Product(_, product) => format!("images/{product}/"),
        }
    }

    pub(crate) fn key(self, upload: &Upload) -> String {
        self.prefix() + &upload.id
    }

    pub(crate) fn try_asking(self, file: &File) -> Answer {
        self.client().post(&self.path(), &file.request())
    }

    pub(crate) fn ask(self, file: &File) -> Upload {
        let answer = self.try_asking(file);
        let upload = Upload::of(&answer);
        let headers = &answer.json()["headers"];
        assert_eq!(headers["content-type"], file.content_type);
        assert_eq!(headers["content-length"], file.bytes.len().to_string());
        assert_eq!(headers["x-amz-checksum-sha256"], file.checksum());
        upload
    }

    /// Asks and sends.
    pub(crate) fn upload(self, file: &File) -> Upload {
        let upload = self.ask(file);
        upload.send(file).expect(200);
        upload
    }

    /// Uploads a file and waits until it is attached and shown, which a cache hears of a moment later.
    pub(crate) fn show(self, file: &File) -> Upload {
        let upload = self.upload(file);
        assert_eq!(self.outcome(&upload), json!("attached"));
        eventually("the picture is shown", || self.ids().contains(&upload.id).then_some(()));
        upload
    }

    pub(crate) fn status(self, upload: &Upload) -> Value {
        self.client().get(&upload.location).expect(200)
    }

    /// What became of an upload: its status, or why it was refused.
    pub(crate) fn outcome(self, upload: &Upload) -> Value {
        eventually("the upload is attached or refused", || {
            let status = self.status(upload);
            match status["status"].as_str().unwrap() {
                "pending" => None,
                "refused" => Some(status["reason"].clone()),
                other => Some(other.into()),
            }
        })
    }

    /// The pictures that the API shows now.
    pub(crate) fn pictures(self) -> Vec<Value> {
        match self {
            Self::Avatar(client) => {
                let user = client.get("/api/users/me").expect(200);
                user.get("avatar").cloned().into_iter().collect()
            }
            Self::Product(_, product) => {
                let product = Client::default().get(&format!("/api/products/{product}")).expect(200);
                product["images"].as_array().unwrap().clone()
            }
        }
    }

    /// The ids of these pictures.
    pub(crate) fn ids(self) -> Vec<String> {
        let name = match self {
            Self::Avatar(_) => "upload_id",
            Self::Product(..) => "image_id",
        };
        self.pictures().iter().map(|picture| picture[name].as_str().unwrap().to_owned()).collect()
    }

    /// Requires that an address leads to what was uploaded. What is behind a content delivery network's is the object of
    /// the same key.
    pub(crate) fn serves(self, url: &str, upload: &Upload, file: &File) {
        let key = self.key(upload);
        if url.starts_with(&cloud::variable("SHOP_CLOUD_URL")) {
            let served = send("GET", url, &[], &[]).expect(200);
            assert_eq!(served.header("content-type"), Some(file.content_type));
            assert_eq!(served.bytes, file.bytes, "{url}");
        } else {
            assert_eq!(url, format!("{CDN}/{key}"));
            let versions = cloud::versions(&self.bucket(), &key);
            assert_eq!(cloud::object(&self.bucket(), &versions[0]).unwrap().0, file.bytes);
        }
    }

    /// The keys of the objects in it that are there in any version.
    pub(crate) fn keys(self) -> Vec<String> {
        let versions = cloud::versions(&self.bucket(), &self.prefix());
        let mut keys: Vec<String> = versions.into_iter().map(|version| version.key).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Waits until there is nothing in it.
    pub(crate) fn empty(self) {
        eventually("the album is empty", || self.keys().is_empty().then_some(()));
    }

    /// Where its bucket tells of new objects.
    pub(crate) fn queue(self) -> &'static str {
        match self {
            Self::Avatar(_) => "avatar-uploads",
            Self::Product(..) => "image-uploads",
        }
    }

    /// Waits until there is no message about it.
    pub(crate) fn handled(self) {
        let owner = self.prefix().split('/').nth(1).unwrap().to_owned();
        eventually("all messages are handled", || {
            (!cloud::everything_in_queue(self.queue()).contains(&owner)).then_some(())
        });
    }

    /// Waits until nothing is left of an object, in no version.
    pub(crate) fn gone(self, key: &str) {
        eventually(&format!("{key} is erased"), || {
            cloud::versions(&self.bucket(), key).is_empty().then_some(())
        });
    }
}

impl Upload {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 201, "{}", answer.body);
        let upload = answer.json();
        assert_eq!((&upload["status"], &upload["method"]), (&json!("pending"), &json!("PUT")));
        let location = answer.header("location").expect("a location").to_owned();
        Self::read(&upload, location)
    }

    /// What the API answers, and where it tells more.
    pub(crate) fn read(upload: &Value, location: String) -> Self {
        let text = |name: &str| upload[name].as_str().unwrap().to_owned();
        let headers = upload["headers"].as_object().unwrap().iter();
        let headers = headers.filter(|(name, _)| *name != "content-length");
        let headers =
            headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        Self { id: text("upload_id"), url: text("url"), headers, location }
    }

    /// The headers, with other values of some of them, or more.
    pub(crate) fn headers_with<'a>(&'a self, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = own.filter(|(name, _)| others.iter().all(|(other, _)| other != name));
        own.chain(others.iter().copied()).collect()
    }

    /// The headers but for one.
    pub(crate) fn headers_without(&self, name: &str) -> Vec<(&str, &str)> {
        self.headers_with(&[]).into_iter().filter(|(own, _)| *own != name).collect()
    }

    /// Sends a file to where the API said.
    pub(crate) fn send(&self, file: &File) -> Stored {
        send("PUT", &self.url, &self.headers_with(&[]), &file.bytes)
    }
}

/// An answer of a bucket.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request to a bucket.
pub(crate) fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Stored {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = if ["PUT", "POST"].contains(&method) {
        agent.run(request.body(body).unwrap())
    } else {
        agent.run(request.body(()).unwrap())
    };
    let mut answer = answer.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    Stored {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        bytes: answer.body_mut().read_to_vec().unwrap(),
    }
}

/// What a bucket says about a new object.
pub(crate) fn notification(bucket: &str, key: &str) -> Value {
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-11-22T09:44:00.000Z", "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "owner" }, "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": { "x-amz-request-id": "1", "x-amz-id-2": "1" },
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "uploads",
            "bucket": { "name": bucket, "ownerIdentity": { "principalId": "owner" }, "arn": format!("arn:aws:s3:::{bucket}") },
            "object": { "key": key, "size": 1, "eTag": "1", "sequencer": "1" },
        },
    }] })
}
