/// The service that is there with `Reporting`.
mod reports;
/// Roles of parts that the local cloud has no machinery for.
mod untried;

use std::fmt;

use crate::{
    account::Part,
    flows::{self, Flow, files},
    uploads::Album,
};

/// A permission, what it is for, and how that is shown.
pub(crate) struct Row {
    role: &'static str,
    sid: &'static str,
    action: &'static str,
    resource: &'static str,
    /// What the shop does with it, or why it needs it all the same.
    pub(crate) purpose: &'static str,
    /// Nothing for what the local cloud does not do: there the purpose says who asks for the permission.
    pub(crate) flow: Option<Flow>,
    /// Without which of the optional parts it must not be granted.
    pub(crate) parts: Vec<Part>,
}

/// Like the permissions themselves are written.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} on {}", self.role, self.sid, self.action, self.resource)
    }
}

/// The permissions of one role.
struct Grants {
    role: &'static str,
    rows: Vec<Row>,
}

impl Grants {
    fn of(role: &'static str) -> Self {
        Self { role, rows: Vec::new() }
    }

    /// Each of the actions on each of the resources.
    fn add(
        mut self,
        sid: &'static str,
        actions: &[&'static str],
        resources: &[&'static str],
        purpose: &'static str,
        flow: impl Into<Option<Flow>>,
    ) -> Self {
        let flow = flow.into();
        for &action in actions {
            for &resource in resources {
                let (role, parts) = (self.role, Vec::new());
                self.rows.push(Row { role, sid, action, resource, purpose, flow, parts });
            }
        }
        self
    }

    /// Says of all rows so far with this Sid that they need a part of the stack.
    fn only_with(mut self, part: Part, sid: &str) -> Self {
        self.rows.iter_mut().filter(|row| row.sid == sid).for_each(|row| row.parts.push(part));
        self
    }

    /// Says so of the whole role.
    fn optional(mut self) -> Self {
        let part = Part::Role(self.role);
        self.rows.iter_mut().for_each(|row| row.parts.push(part));
        self
    }
}

/// What every service does in its own way.
struct Common {
    role: &'static str,
    log: &'static str,
    /// A route that asks who is calling.
    guarded: (&'static str, &'static str),
    event: fn(&flows::Shop) -> flows::Effect,
    odd_row: fn(&flows::Shop) -> flows::Effect,
    stream: &'static str,
    topic: &'static str,
    stream_dlq: &'static str,
}

/// What a service does with the files of its bucket.
struct Files {
    objects: &'static str,
    bucket: &'static str,
    album: fn(&flows::Shop) -> Album<'_>,
    shown: fn(&flows::Shop) -> flows::Effect,
    erased: fn(&flows::Shop) -> flows::Effect,
    absent: fn(&flows::Shop) -> flows::Effect,
}

/// All rows, of all optional parts.
pub(crate) fn rows() -> Vec<Row> {
    let roles = [
        user_service(),
        product_service(),
        order_service(),
        reports::service(),
        secret_rotation(),
        untried::deployments(),
        untried::flow_log(),
        untried::instances(),
        untried::proxy(),
    ];
    roles.into_iter().flat_map(|role| role.rows).collect()
}

fn function(role: &'static str, log: &'static str) -> Grants {
    Grants::of(role)
        .add(
            "WriteLogs",
            &["logs:CreateLogStream", "logs:PutLogEvents"],
            &[log],
            "what the function does is logged",
            Flow::Log,
        )
        .add(
            "SendTraces",
            &["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
            &["*"],
            "Lambda asks for it: docs.aws.amazon.com/lambda/latest/dg/services-xray.html; X-Ray knows no resources",
            None,
        )
        .only_with(Part::Traces, "SendTraces")
}

fn common(service: &Common) -> Grants {
    function(service.role, service.log)
        .checks_tokens(service.guarded)
        .add(
            "ReadStream",
            &[
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ],
            &[service.stream],
            "changes become events",
            Flow::Reading(service.event),
        )
        .add(
            "PublishEvents",
            &["sns:Publish"],
            &[service.topic],
            "events are published",
            Flow::Consequence(service.event),
        )
        .add(
            "SetAsideStreamRecords",
            &["sqs:SendMessage"],
            &[service.stream_dlq],
            "a row that can't become an event is set aside",
            Flow::Consequence(service.odd_row),
        )
}

fn user_service() -> Grants {
    let table = &["table/users"];
    let service = Common {
        role: "UserServiceLambdaRole",
        log: "log-group:/aws/lambda/user-service:*",
        guarded: ("GET", "/api/users/me"),
        event: flows::deletion_is_heard,
        odd_row: flows::odd_user_is_set_aside,
        stream: "table/users/stream",
        topic: "user-events",
        stream_dlq: "users-stream-dlq",
    };
    common(&service)
        .add("UseTable", &["dynamodb:BatchGetItem"], table, "a session goes on", Flow::Answer(flows::refresh))
        .add(
            "UseTable",
            &["dynamodb:DeleteItem"],
            table,
            "an account is deleted",
            Flow::Answer(flows::delete_account),
        )
        .add(
            "UseTable",
            &["dynamodb:GetItem"],
            table,
            "an account is read",
            Flow::Answer(flows::read_account),
        )
        .add("UseTable", &["dynamodb:PutItem"], table, "somebody registers", Flow::Answer(flows::register))
        .add(
            "UseTable",
            &["dynamodb:UpdateItem"],
            table,
            "an account is changed",
            Flow::Answer(flows::rename),
        )
        .add(
            "QueryIndexes",
            &["dynamodb:Query"],
            &["table/users/index/email-index"],
            "an admin looks for an account",
            Flow::Answer(flows::find_account),
        )
        .add(
            "QueryIndexes",
            &["dynamodb:Query"],
            &["table/users/index/feed-position-index"],
            "an admin lists the accounts",
            Flow::Answer(flows::list_accounts),
        )
        .consumes("avatar-uploads", "avatars are looked at", files::avatar_is_shown)
        .files(&Files {
            objects: "user-avatars/avatars/*",
            bucket: "user-avatars",
            album: files::avatar,
            shown: files::avatar_is_shown,
            erased: files::avatar_is_erased,
            absent: files::absent_avatar_is_passed_over,
        })
}

fn product_service() -> Grants {
    let table = &["table/products"];
    let service = Common {
        role: "ProductServiceLambdaRole",
        log: "log-group:/aws/lambda/product-service:*",
        guarded: ("POST", "/api/products"),
        event: flows::order_is_confirmed,
        odd_row: flows::odd_product_is_set_aside,
        stream: "table/products/stream",
        topic: "product-events",
        stream_dlq: "products-stream-dlq",
    };
    common(&service)
        .add(
            "UseTable",
            &["dynamodb:BatchGetItem"],
            table,
            "an order's products are looked up",
            Flow::Consequence(flows::order_is_confirmed),
        )
        .add(
            "UseTable",
            &["dynamodb:DeleteItem"],
            table,
            "a product is removed",
            Flow::Answer(flows::delete_product),
        )
        .add(
            "UseTable",
            &["dynamodb:GetItem"],
            table,
            "a product's image is asked for",
            Flow::Answer(flows::ask_for_image),
        )
        .add(
            "UseTable",
            &["dynamodb:PutItem"],
            table,
            "a product is new",
            Flow::Answer(flows::create_product),
        )
        .add(
            "UseTable",
            &["dynamodb:UpdateItem"],
            table,
            "a product is changed",
            Flow::Answer(flows::change_product),
        )
        .add(
            "QueryIndexes",
            &["dynamodb:Query"],
            &["table/products/index/category-created_at-index"],
            "a category is listed",
            Flow::Answer(flows::list_category),
        )
        .add(
            "QueryIndexes",
            &["dynamodb:Query"],
            &["table/products/index/feed-position-index"],
            "the products are listed",
            Flow::Answer(flows::list_products),
        )
        .consumes("stock-requests", "stock is taken for orders", flows::order_is_confirmed)
        .consumes("image-uploads", "images are looked at", files::image_is_shown)
        .files(&Files {
            objects: "product-images/images/*",
            bucket: "product-images",
            album: files::images,
            shown: files::image_is_shown,
            erased: files::image_is_erased,
            absent: files::absent_image_is_passed_over,
        })
        .add(
            "ReadCacheSecret",
            &["secretsmanager:GetSecretValue"],
            &["secret:microservices/redis"],
            "the cache is connected to",
            Flow::Start(flows::optional::product_is_read),
        )
        .only_with(Part::Cache, "ReadCacheSecret")
        .joins_vpc()
        .only_with(Part::Network, "JoinVpc")
}

fn order_service() -> Grants {
    let table = &["table/orders"];
    let service = Common {
        role: "OrderServiceLambdaRole",
        log: "log-group:/aws/lambda/order-service:*",
        guarded: ("GET", "/api/orders"),
        event: flows::order_is_confirmed,
        odd_row: flows::odd_order_is_set_aside,
        stream: "table/orders/stream",
        topic: "order-events",
        stream_dlq: "orders-stream-dlq",
    };
    common(&service)
        .add(
            "UseTable",
            &["dynamodb:BatchGetItem"],
            table,
            "an order's deadline passes",
            Flow::Consequence(flows::deadline_passes),
        )
        .add("UseTable", &["dynamodb:GetItem"], table, "an order is read", Flow::Answer(flows::read_order))
        .add("UseTable", &["dynamodb:PutItem"], table, "an order is placed", Flow::Answer(flows::place_order))
        .add(
            "UseTable",
            &["dynamodb:UpdateItem"],
            table,
            "an order is cancelled",
            Flow::Answer(flows::cancel_order),
        )
        .add(
            "QueryIndexes",
            &["dynamodb:Query"],
            &["table/orders/index/user_id-created_at-index"],
            "a customer's orders are listed",
            Flow::Answer(flows::list_orders),
        )
        .consumes("order-processing", "orders are confirmed", flows::order_is_confirmed)
        .consumes("user-events", "orders hear of deleted accounts", flows::deletion_is_heard)
        .consumes("order-deadlines", "an order's deadline passes", flows::deadline_passes)
}

fn secret_rotation() -> Grants {
    let secret = &["secret:microservices/api-gateway"];
    function("SecretRotationLambdaRole", "log-group:/aws/lambda/secret-rotation:*")
        .add(
            "RotateSecret",
            &["secretsmanager:DescribeSecret"],
            secret,
            "a step looks which version it is for",
            Flow::Rotation("setSecret"),
        )
        .add(
            "RotateSecret",
            &["secretsmanager:GetSecretValue"],
            secret,
            "the next version has all of the current one but the key",
            Flow::Rotation("createSecret"),
        )
        .add(
            "RotateSecret",
            &["secretsmanager:PutSecretValue"],
            secret,
            "the next version is made",
            Flow::Rotation("createSecret"),
        )
        .add(
            "RotateSecret",
            &["secretsmanager:UpdateSecretVersionStage"],
            secret,
            "the next version becomes the current one",
            Flow::Rotation("finishSecret"),
        )
}

impl Grants {
    fn consumes(
        self,
        queue: &'static str,
        purpose: &'static str,
        flow: fn(&flows::Shop) -> flows::Effect,
    ) -> Self {
        let reading = &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
        self.add("ConsumeQueues", reading, &[queue], purpose, Flow::Reading(flow)).add(
            "ConsumeQueues",
            &["sqs:ChangeMessageVisibility"],
            &[queue],
            "a message that failed is soon tried again",
            Flow::Return(queue),
        )
    }

    fn checks_tokens(self, (method, path): (&'static str, &'static str)) -> Self {
        self.add(
            "ReadSecret",
            &["secretsmanager:GetSecretValue"],
            &["secret:microservices/api-gateway"],
            "a token of another version of the secret is checked",
            Flow::Secret(method, path),
        )
    }

    fn joins_vpc(self) -> Self {
        self.add(
            "JoinVpc",
            &["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"],
            &["*"],
            "the function joins the VPC",
            Flow::Network,
        )
        .add(
            "JoinVpc",
            &["ec2:AssignPrivateIpAddresses", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"],
            &["*"],
            "Lambda asks for it: docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html",
            None,
        )
    }

    fn files(self, files: &Files) -> Self {
        let (objects, bucket) = (&[files.objects], &[files.bucket]);
        self.add(
            "UseObjects",
            &["s3:DeleteObject"],
            objects,
            "S3 asks for it, versions or not: docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html",
            None,
        )
        .add(
            "UseObjects",
            &["s3:DeleteObjectVersion"],
            objects,
            "a file is erased",
            Flow::Consequence(files.erased),
        )
        .add("UseObjects", &["s3:GetObject"], objects, "a file is looked at", Flow::Consequence(files.shown))
        .add("UseObjects", &["s3:PutObject"], objects, "a file is uploaded", Flow::Upload(files.album))
        .add(
            "ListObjects",
            &["s3:ListBucket"],
            bucket,
            "a file that is gone is told apart from a forbidden one",
            Flow::Consequence(files.absent),
        )
        .add(
            "ListObjects",
            &["s3:ListBucketVersions"],
            bucket,
            "all versions of a file are found",
            Flow::Consequence(files.erased),
        )
    }
}
