//! The leanest handler with the AWS SDK: reads one product, or writes one order-like row, and does everything that
//! makes a function fast. No routes, no logs, no request ids, no checks of the input.

use std::{borrow::Cow, collections::HashMap, env, fs, sync::Arc};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_http_client::{
    Connector,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion,
    http::{SharedHttpClient, SharedHttpConnector, http_client_fn},
};
use aws_types::{SdkConfig, region::Region};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

/// Where a product is kept.
const KEY: &str = "product_id";

/// What it takes of an API Gateway event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    raw_path: Cow<'a, str>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status_code: u16,
    headers: HashMap<&'static str, &'static str>,
    body: String,
    is_base64_encoded: bool,
}

struct Shop {
    client: Client,
    table: String,
}

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shop = Arc::new(Shop { client: Client::new(&settings()?), table: env::var("TABLE_NAME")? });
        // Opens the connection while the processor is Lambda's to give; whether it works is the first call's concern.
        shop.read("-").await.ok();
        run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
            let shop = Arc::clone(&shop);
            async move { shop.answer(event.payload.get()).await }
        }))
        .await
    })
}

/// The environment's credentials, one connector with one file of roots.
fn settings() -> Result<SdkConfig, Error> {
    let endpoint = env::var("AWS_ENDPOINT_URL").unwrap_or_default();
    let roots = if endpoint.starts_with("http:") {
        TrustStore::empty()
    } else {
        TrustStore::empty().with_pem_certificate(fs::read(env::var("SSL_CERT_FILE")?)?)
    };
    let connector = Connector::builder()
        .sleep_impl(TokioSleep::new())
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .tls_context(TlsContext::builder().with_trust_store(roots).build()?)
        .build();
    let connector = SharedHttpConnector::new(connector);
    let http_client: SharedHttpClient = http_client_fn(move |_settings, _components| connector.clone());
    let credentials = Credentials::new(
        env::var("AWS_ACCESS_KEY_ID")?,
        env::var("AWS_SECRET_ACCESS_KEY")?,
        env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    let builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(env::var("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client)
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new());
    Ok(if endpoint.is_empty() { builder } else { builder.endpoint_url(endpoint) }.build())
}

impl Shop {
    async fn answer(&self, event: &str) -> Result<Response, Error> {
        let request: Request<'_> = serde_json::from_str(event)?;
        match request.body {
            Some(order) => {
                self.write(&order).await?;
                Ok(response(201, "{}".to_owned()))
            }
            None => {
                let id = request.raw_path.rsplit('/').next().unwrap_or_default();
                match self.read(id).await? {
                    Some(product) => Ok(response(200, product)),
                    None => Ok(response(404, "{}".to_owned())),
                }
            }
        }
    }

    async fn read(&self, id: &str) -> Result<Option<String>, Error> {
        let key = AttributeValue::S(id.to_owned());
        let answer = self.client.get_item().table_name(&self.table).key(KEY, key).send().await?;
        let Some(item) = answer.item else { return Ok(None) };
        let product: Map<String, Value> = item.into_iter().map(|(name, value)| (name, json(value))).collect();
        Ok(Some(serde_json::to_string(&product)?))
    }

    async fn write(&self, order: &str) -> Result<(), Error> {
        let order: Map<String, Value> = serde_json::from_str(order)?;
        let item = order.into_iter().map(|(name, value)| (name, attribute(value))).collect();
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.condition_expression(format!("attribute_not_exists({KEY})")).send().await?;
        Ok(())
    }
}

fn response(status_code: u16, body: String) -> Response {
    let headers = HashMap::from([("content-type", "application/json")]);
    Response { status_code, headers, body, is_base64_encoded: false }
}

fn json(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(number) => number.parse::<serde_json::Number>().map_or(Value::Null, Value::Number),
        AttributeValue::Bool(value) => Value::Bool(value),
        AttributeValue::L(list) => list.into_iter().map(json).collect(),
        AttributeValue::M(map) => map.into_iter().map(|(name, value)| (name, json(value))).collect(),
        _ => Value::Null,
    }
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::String(text) => AttributeValue::S(text),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::Bool(value) => AttributeValue::Bool(value),
        Value::Array(list) => AttributeValue::L(list.into_iter().map(attribute).collect()),
        Value::Object(map) => {
            AttributeValue::M(map.into_iter().map(|(name, value)| (name, attribute(value))).collect())
        }
        Value::Null => AttributeValue::Null(true),
    }
}
