//! A function as most samples write it: all defaults, nothing tuned. It reads one product, or writes one order-like
//! row.

use std::{collections::HashMap, env};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use lambda_http::{Body, Error, Request, Response, http::Method, run, service_fn, tracing};
use serde_json::{Map, Value};

const KEY: &str = "product_id";

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = Client::new(&config);
    let table = env::var("TABLE_NAME")?;
    run(service_fn(|request: Request| handle(&client, &table, request))).await
}

async fn handle(client: &Client, table: &str, request: Request) -> Result<Response<Body>, Error> {
    if request.method() == Method::POST {
        let order: Map<String, Value> = serde_json::from_slice(request.body())?;
        let item: HashMap<String, AttributeValue> =
            order.into_iter().map(|(name, value)| (name, attribute(value))).collect();
        client
            .put_item()
            .table_name(table)
            .set_item(Some(item))
            .condition_expression(format!("attribute_not_exists({KEY})"))
            .send()
            .await?;
        tracing::info!("order written");
        return answer(201, "{}".to_owned());
    }
    let id = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let found = client.get_item().table_name(table).key(KEY, AttributeValue::S(id)).send().await?;
    tracing::info!("product read");
    match found.item {
        Some(item) => {
            let product: Map<String, Value> =
                item.into_iter().map(|(name, value)| (name, json(value))).collect();
            answer(200, serde_json::to_string(&product)?)
        }
        None => answer(404, "{}".to_owned()),
    }
}

fn answer(status: u16, body: String) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(status).header("content-type", "application/json").body(body.into())?)
}

fn json(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(number) => serde_json::from_str(&number).unwrap_or_default(),
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
