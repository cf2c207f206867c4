use std::fmt::Debug;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;

use crate::{
    account::{self, Role},
    alone, cloud,
};

/// A role, its table and its topic.
const SERVICES: [(&str, &str, &str); 3] = [
    ("UserServiceLambdaRole", "users", "user-events"),
    ("ProductServiceLambdaRole", "products", "product-events"),
    ("OrderServiceLambdaRole", "orders", "order-events"),
];

/// A bucket, what keys in it begin with, and whose it is.
const BUCKETS: [(&str, &str, &str); 2] = [
    ("user-avatars", "avatars", "UserServiceLambdaRole"),
    ("product-images", "images", "ProductServiceLambdaRole"),
];

const QUEUES: [&str; 7] = [
    "stock-requests",
    "order-processing",
    "user-events",
    "order-deadlines",
    "avatar-uploads",
    "image-uploads",
    "report-events",
];

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn no_role_reaches_what_belongs_to_another_service() {
    let _turn = alone();
    let roles = account::roles();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        for (role, own_table, own_topic) in SERVICES {
            let config = as_role(roles.iter().find(|known| known.logical_id == role).unwrap());
            assert!(read(&config, own_table).await.is_ok(), "{role} reads its own table");
            for (_, table, topic) in SERVICES {
                if table != own_table {
                    refused(&format!("{role} reads {table}"), read(&config, table).await);
                    refused(
                        &format!("{role} fills {table}"),
                        send(&config, &format!("{table}-stream-dlq")).await,
                    );
                }
                if topic != own_topic {
                    refused(&format!("{role} publishes on {topic}"), publish(&config, topic).await);
                }
            }
            for queue in QUEUES {
                refused(&format!("{role} sends to {queue}"), send(&config, queue).await);
            }
            for (bucket, prefix, owner) in BUCKETS {
                if role != owner {
                    refused(
                        &format!("{role} gets from {bucket}"),
                        get(&config, bucket, &format!("{prefix}/x")).await,
                    );
                    refused(
                        &format!("{role} puts into {bucket}"),
                        put(&config, bucket, &format!("{prefix}/x")).await,
                    );
                }
                refused(&format!("{role} puts beside {bucket}"), put(&config, bucket, "elsewhere/x").await);
            }
            refused(
                &format!("{role} reads the source of the API key"),
                read_source_of_api_key(&config).await,
            );
            let secrets = aws_sdk_secretsmanager::Client::new(&config);
            let written = secrets.put_secret_value().secret_id(cloud::secret_id()).secret_string("unasked");
            refused(&format!("{role} writes the secret"), written.send().await);
        }
        let config =
            as_role(roles.iter().find(|known| known.logical_id == "ReportServiceLambdaRole").unwrap());
        for (_, table, topic) in SERVICES {
            refused(&format!("report-service reads {table}"), read(&config, table).await);
            refused(&format!("report-service publishes on {topic}"), publish(&config, topic).await);
        }
        for queue in QUEUES {
            refused(&format!("report-service sends to {queue}"), send(&config, queue).await);
        }
        for (bucket, prefix, _) in BUCKETS {
            refused("report-service gets a file", get(&config, bucket, &format!("{prefix}/x")).await);
        }
        refused("report-service reads the cache's token", read_secret(&config, "redis").await);
        refused("report-service reads the source of the API key", read_source_of_api_key(&config).await);
        let config =
            as_role(roles.iter().find(|known| known.logical_id == "ProductServiceLambdaRole").unwrap());
        refused("product-service reads where the database is", read_secret(&config, "database").await);

        let rotation = roles.iter().find(|known| known.logical_id == "SecretRotationLambdaRole").unwrap();
        let config = as_role(rotation);
        refused("the rotation reads the source of the API key", read_source_of_api_key(&config).await);
        refused("the rotation reads users", read(&config, "users").await);
    });
}

/// The settings of whoever has the role.
fn as_role(role: &Role) -> SdkConfig {
    let config = test_support::sdk_config(&std::env::var("SHOP_CLOUD_URL").unwrap());
    config.into_builder().credentials_provider(account::credentials(role)).build()
}

async fn read_source_of_api_key(config: &SdkConfig) -> Result<impl Debug + use<>, impl Debug + use<>> {
    let secrets = aws_sdk_secretsmanager::Client::new(config);
    secrets.get_secret_value().secret_id(format!("{}/api-key", cloud::secret_id())).send().await
}

async fn read_secret(config: &SdkConfig, name: &str) -> Result<impl Debug + use<>, impl Debug + use<>> {
    let secrets = aws_sdk_secretsmanager::Client::new(config);
    let id = format!("{}/microservices/{name}", cloud::environment());
    secrets.get_secret_value().secret_id(id).send().await
}

async fn read(config: &SdkConfig, table: &str) -> Result<impl Debug + use<>, impl Debug + use<>> {
    let key = format!("{}_id", table.trim_end_matches('s'));
    let client = aws_sdk_dynamodb::Client::new(config);
    let request = client.get_item().table_name(cloud::name(table));
    request.key(key, AttributeValue::S("nobody's".to_owned())).send().await
}

async fn send(config: &SdkConfig, queue: &str) -> Result<impl Debug + use<>, impl Debug + use<>> {
    let client = aws_sdk_sqs::Client::new(config);
    client.send_message().queue_url(account::queue_url(queue)).message_body("unasked").send().await
}

async fn get(config: &SdkConfig, bucket: &str, key: &str) -> Result<impl Debug + use<>, impl Debug + use<>> {
    s3(config).get_object().bucket(cloud::bucket(bucket)).key(key).send().await
}

async fn put(config: &SdkConfig, bucket: &str, key: &str) -> Result<impl Debug + use<>, impl Debug + use<>> {
    s3(config).put_object().bucket(cloud::bucket(bucket)).key(key).send().await
}

/// The name of a bucket is no host on this machine.
fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(config)
}

async fn publish(config: &SdkConfig, topic: &str) -> Result<impl Debug + use<>, impl Debug + use<>> {
    let client = aws_sdk_sns::Client::new(config);
    let arn = format!("arn:aws:sns:us-east-1:000000000000:{}", cloud::name(topic));
    client.publish().topic_arn(arn).message("unasked").send().await
}

fn refused(what: &str, answer: Result<impl Debug, impl Debug>) {
    let answer = format!("{answer:?}");
    assert!(answer.contains("not authorized to perform"), "{what}: {answer}");
}
