//! What each invocation calls: counted, and checked by `tests/aws_calls`.

/// What one invocation does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// The route; or the queue or stream, with the event.
    pub trigger: &'static str,
    /// Which case of it; empty for the usual one.
    pub case: &'static str,
    /// The operations in alphabetical order, as in `2 GetItem, PutItem`.
    pub calls: &'static str,
    /// Read request units.
    pub reads: f64,
    /// Write request units of the table.
    pub table_writes: f64,
    /// Write request units of the table's indexes.
    pub index_writes: f64,
}

impl Work {
    /// Each operation with how often it is called.
    pub fn operations(&self) -> impl Iterator<Item = (usize, &'static str)> {
        self.calls.split(", ").filter(|call| !call.is_empty()).map(|call| match call.split_once(' ') {
            Some((count, operation)) => (count.parse().unwrap_or(1), operation),
            None => (1, call),
        })
    }

    /// Calls to DynamoDB.
    pub fn store_calls(&self) -> usize {
        self.operations().filter(|(_, operation)| is_store_call(operation)).map(|(count, _)| count).sum()
    }

    /// Bytes of the metrics that one record makes its function write, beside its line for the invocation.
    pub fn metric_bytes(&self) -> usize {
        match (self.trigger, self.case) {
            // How long the order waited for its stock.
            ("order-processing: stock_reserved" | "order-processing: stock_rejected", "")
            | ("order-deadlines: order_placed", "still pending") => 306,
            _ => 0,
        }
    }

    /// Microseconds of a whole core for an invocation with so many records: measured on the release build, warm, and
    /// rounded up.
    pub(crate) fn cpu_us(&self, records: usize) -> usize {
        match (self.trigger, self.case) {
            ("POST /api/users/login", "" | "a wrong password") => 27_000,
            ("GET /api/products", "of a category") | ("GET /api/orders", _) => 600,
            ("GET /api/products", _) => 1_100,
            (trigger, _) => match Log::of(trigger) {
                Log::Start | Log::Request => 350,
                Log::Queue => 300 + 200 * records,
                Log::Stream => 250 + 50 * records,
            },
        }
    }
}

const fn work(
    trigger: &'static str,
    case: &'static str,
    calls: &'static str,
    reads: f64,
    table_writes: f64,
    index_writes: f64,
) -> Work {
    Work { trigger, case, calls, reads, table_writes, index_writes }
}

/// A new environment of a function, up to its first event.
#[rustfmt::skip]
pub const STARTS: &[Work] = &[
    work("start of user-service", "", "GetItem, GetSecretValue", 0.5, 0.0, 0.0),
    work("start of product-service", "", "GetItem, GetSecretValue", 0.5, 0.0, 0.0),
    work("start of order-service", "", "GetItem, GetSecretValue", 0.5, 0.0, 0.0),
];

/// Requests. Pages of products and orders have 20 rows, orders two lines and an address.
#[rustfmt::skip]
pub const ROUTES: &[Work] = &[
    work("POST /api/users", "", "TransactWriteItems", 0.0, 4.0, 2.0),
    work("POST /api/users/login", "", "BatchGetItem, DeleteItem, GetItem, 2 PutItem, 2 UpdateItem", 4.0, 5.0, 0.0),
    work("POST /api/users/login", "a wrong password", "BatchGetItem, GetItem, PutItem, UpdateItem", 4.0, 2.0, 0.0),
    work("POST /api/users/login", "too often", "BatchGetItem", 3.0, 0.0, 0.0),
    work("POST /api/users/token/refresh", "", "BatchGetItem, UpdateItem", 2.0, 1.0, 0.0),
    work("POST /api/users/token/refresh", "again, at once", "BatchGetItem", 2.0, 0.0, 0.0),
    work("POST /api/users/token/refresh", "a token used before", "BatchGetItem, UpdateItem", 2.0, 1.0, 0.0),
    work("POST /api/users/logout", "", "UpdateItem", 0.0, 1.0, 0.0),
    work("POST /api/users/logout-all", "", "DeleteItem", 0.0, 1.0, 0.0),
    work("GET /api/users/me", "", "GetItem", 1.0, 0.0, 0.0),
    work("GET /api/users/me", "with an avatar", "GetItem", 1.0, 0.0, 0.0),
    work("PATCH /api/users/me", "", "GetItem, UpdateItem", 1.0, 1.0, 2.0),
    work("PATCH /api/users/me", "another address", "DeleteItem, GetItem, PutItem, TransactWriteItems", 1.0, 8.0, 3.0),
    work("PUT /api/users/me/password", "", "DeleteItem, GetItem, PutItem, UpdateItem", 1.0, 3.0, 2.0),
    work("POST /api/users/me/avatar", "", "GetItem, PutItem", 1.0, 1.0, 0.0),
    work("GET /api/users/me/avatar/uploads/{id}", "", "GetItem", 1.0, 0.0, 0.0),
    work("DELETE /api/users/me/avatar", "", "GetItem, TransactWriteItems", 1.0, 4.0, 2.0),
    work("PUT /api/users/{id}/role", "", "2 GetItem, UpdateItem", 2.0, 1.0, 2.0),
    work("PUT /api/users/{id}/role", "with the API key", "GetItem, UpdateItem", 1.0, 1.0, 2.0),
    work("GET /api/users/{id}", "", "2 GetItem", 2.0, 0.0, 0.0),
    work("GET /api/users", "", "GetItem, 4 Query", 3.0, 0.0, 0.0),
    work("GET /api/users", "by address", "GetItem, Query", 1.5, 0.0, 0.0),
    work("DELETE /api/users/me", "", "GetItem, TransactWriteItems", 1.0, 6.0, 2.0),
    work("GET /api/users/health/live", "", "", 0.0, 0.0, 0.0),
    work("GET /api/users/health/ready", "", "GetItem", 0.5, 0.0, 0.0),
    work("GET /api/users/openapi.json", "", "", 0.0, 0.0, 0.0),
    work("POST /api/products", "", "PutItem", 0.0, 1.0, 2.0),
    work("GET /api/products/{id}", "", "GetItem", 0.5, 0.0, 0.0),
    work("GET /api/products/{id}", "unchanged", "GetItem", 0.5, 0.0, 0.0),
    work("PUT /api/products/{id}", "", "UpdateItem", 0.0, 1.0, 2.0),
    work("PATCH /api/products/{id}", "", "UpdateItem", 0.0, 1.0, 2.0),
    work("POST /api/products/{id}/images", "", "GetItem, PutItem", 1.0, 1.0, 0.0),
    work("GET /api/products/{id}/images/{image_id}/upload", "", "GetItem", 1.0, 0.0, 0.0),
    work("GET /api/products/{id}", "with a picture", "GetItem", 0.5, 0.0, 0.0),
    work("DELETE /api/products/{id}/images/{image_id}", "", "GetItem, TransactWriteItems", 1.0, 4.0, 2.0),
    work("DELETE /api/products/{id}/images/{image_id}", "before it arrives", "2 GetItem, TransactWriteItems", 2.0, 2.0, 0.0),
    work("POST /api/products/{id}/stock", "", "GetItem, TransactWriteItems", 1.0, 2.0, 2.0),
    work("POST /api/products/{id}/stock", "under a key", "GetItem, TransactWriteItems", 1.0, 4.0, 2.0),
    work("POST /api/products/{id}/stock", "under a key, again", "GetItem, TransactWriteItems", 1.0, 4.0, 0.0),
    work("DELETE /api/products/{id}", "", "TransactWriteItems", 0.0, 2.0, 2.0),
    work("GET /api/products", "", "4 Query", 4.0, 0.0, 0.0),
    work("GET /api/products", "next page", "4 Query", 4.0, 0.0, 0.0),
    work("GET /api/products", "of a category", "Query", 1.5, 0.0, 0.0),
    work("GET /api/products/health/live", "", "", 0.0, 0.0, 0.0),
    work("GET /api/products/health/ready", "", "GetItem", 0.5, 0.0, 0.0),
    work("GET /api/products/openapi.json", "", "", 0.0, 0.0, 0.0),
    work("POST /api/orders", "", "PutItem", 0.0, 1.0, 1.0),
    work("POST /api/orders", "again", "PutItem", 0.0, 1.0, 0.0),
    work("GET /api/orders/{order_id}", "", "GetItem", 1.0, 0.0, 0.0),
    work("POST /api/orders/{order_id}/cancel", "", "UpdateItem", 0.0, 1.0, 1.0),
    work("POST /api/orders/{order_id}/ship", "", "UpdateItem", 0.0, 1.0, 1.0),
    work("POST /api/orders/{order_id}/deliver", "", "UpdateItem", 0.0, 1.0, 1.0),
    work("GET /api/orders", "", "Query", 2.0, 0.0, 0.0),
    work("GET /api/orders", "in a status", "Query", 2.0, 0.0, 0.0),
    work("GET /api/orders/health/live", "", "", 0.0, 0.0, 0.0),
    work("GET /api/orders/health/ready", "", "GetItem", 0.5, 0.0, 0.0),
    work("GET /api/orders/openapi.json", "", "", 0.0, 0.0, 0.0),
];

/// A message of a queue, or a change in a stream.
#[rustfmt::skip]
pub const EVENTS: &[Work] = &[
    work("stream of users: user_created", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of users: user_updated", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of users: user_deleted", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of users: user_avatar_removed", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of products: product_created", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of products: product_updated", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of products: product_deleted", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of products: product_image_removed", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of products: nothing", "of an order that was given up", "", 0.0, 0.0, 0.0),
    work("stream of products: stock_reserved", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of products: stock_released", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of products: stock_rejected", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of orders: order_placed", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of orders: order_cancelled", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of orders: order_shipped", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of orders: order_delivered", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of orders: order_confirmed", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of orders: order_rejected", "", "PublishBatch", 0.0, 0.0, 0.0),
    work("stream of orders: nothing", "address removed", "", 0.0, 0.0, 0.0),
    work("stock-requests: order_cancelled", "", "BatchGetItem, GetItem, TransactWriteItems", 4.0, 6.0, 4.0),
    work("stock-requests: order_cancelled", "before its order", "GetItem, TransactWriteItems", 1.0, 2.0, 0.0),
    work("stock-requests: order_placed", "", "TransactWriteItems", 0.0, 6.0, 4.0),
    work("stock-requests: order_placed", "of products not seen before", "BatchGetItem, TransactWriteItems", 3.0, 6.0, 4.0),
    work("stock-requests: order_placed", "of an order that was given up", "BatchGetItem", 3.0, 0.0, 0.0),
    work("stock-requests: order_placed", "again", "BatchGetItem, TransactWriteItems", 3.0, 6.0, 0.0),
    work("stock-requests: order_placed", "out of stock", "BatchGetItem, TransactWriteItems", 2.0, 2.0, 0.0),
    work("stock-requests: order_rejected", "", "GetItem", 1.0, 0.0, 0.0),
    work("avatar-uploads: a file", "", "2 GetItem, GetObject, TransactWriteItems", 2.0, 4.0, 2.0),
    work("avatar-uploads: a file", "in the place of another", "2 GetItem, GetObject, TransactWriteItems", 2.0, 6.0, 2.0),
    work("avatar-uploads: a file", "again", "2 GetItem", 2.0, 0.0, 0.0),
    work("avatar-uploads: a file", "refused", "DeleteObjects, GetItem, GetObject, ListObjectVersions, UpdateItem", 1.0, 1.0, 0.0),
    work("avatar-uploads: user_avatar_removed", "", "DeleteObjects, ListObjectVersions", 0.0, 0.0, 0.0),
    work("avatar-uploads: user_deleted", "", "DeleteItem, DeleteObjects, ListObjectVersions", 0.0, 1.0, 0.0),
    work("image-uploads: a file", "", "GetItem, GetObject, TransactWriteItems", 1.0, 4.0, 2.0),
    work("image-uploads: a file", "again", "2 GetItem", 2.0, 0.0, 0.0),
    work("image-uploads: a file", "refused", "DeleteObjects, GetItem, GetObject, ListObjectVersions, UpdateItem", 1.0, 1.0, 0.0),
    work("image-uploads: product_image_removed", "", "DeleteObjects, ListObjectVersions", 0.0, 0.0, 0.0),
    work("image-uploads: product_deleted", "", "DeleteObjects, ListObjectVersions", 0.0, 0.0, 0.0),
    work("order-processing: stock_reserved", "", "UpdateItem", 0.0, 1.0, 1.0),
    work("order-processing: stock_reserved", "again", "UpdateItem", 0.0, 1.0, 0.0),
    work("order-processing: stock_rejected", "", "UpdateItem", 0.0, 1.0, 1.0),
    work("order-deadlines: order_placed", "", "BatchGetItem", 2.0, 0.0, 0.0),
    work("order-deadlines: order_placed", "still pending", "BatchGetItem, UpdateItem", 2.0, 1.0, 1.0),
    work("order-deadlines: order_placed", "of a deleted customer", "BatchGetItem, UpdateItem", 2.0, 1.0, 1.0),
    work("user-events: user_created", "kept away by the filter", "", 0.0, 0.0, 0.0),
    work("user-events: user_updated", "kept away by the filter", "", 0.0, 0.0, 0.0),
    work("user-events: user_deleted", "with one order", "PutItem, Query, UpdateItem", 0.5, 2.0, 1.0),
];

/// The triggers of the invocations that an order of two lines leads to, from its request to its deadline.
pub const SAGA: &[&str] = &[
    "POST /api/orders",
    "stream of orders: order_placed",
    "stock-requests: order_placed",
    "stream of products: stock_reserved",
    "stream of products: product_updated",
    "order-processing: stock_reserved",
    "stream of orders: order_confirmed",
    "order-deadlines: order_placed",
];

/// The line of a trigger's usual case.
pub fn work_of(trigger: &str) -> &'static Work {
    let mut table = ROUTES.iter().chain(EVENTS);
    let found = table.find(|work| work.trigger == trigger && work.case.is_empty());
    found.unwrap_or_else(|| panic!("{trigger} has no line in the table"))
}

/// Whether an operation is DynamoDB's.
pub fn is_store_call(operation: &str) -> bool {
    operation.ends_with("Item") || operation.ends_with("Items") || ["Query", "Scan"].contains(&operation)
}

/// Whether an operation is S3's.
pub(crate) fn is_object_call(operation: &str) -> bool {
    operation.ends_with("Object") || operation.ends_with("Objects") || operation.ends_with("ObjectVersions")
}

/// What a queue gets when a file has arrived in a bucket.
pub const A_FILE: &str = "a file";

/// The kinds of invocations, by what they log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The first of an environment.
    Start,
    /// A request.
    Request,
    /// A batch of a queue.
    Queue,
    /// A batch of a stream.
    Stream,
}

impl Log {
    /// All kinds but the start, which hardly ever happens.
    pub const ALL: [Self; 3] = [Self::Request, Self::Queue, Self::Stream];

    /// The kind of a trigger.
    pub fn of(trigger: &str) -> Self {
        match trigger {
            start if start.starts_with("start of ") => Self::Start,
            stream if stream.starts_with("stream of ") => Self::Stream,
            route if route.contains(" /") => Self::Request,
            _ => Self::Queue,
        }
    }

    /// Bytes that the function writes for one invocation that goes well.
    pub fn bytes(self) -> usize {
        match self {
            Self::Start => 0,
            Self::Request => 253,
            Self::Queue => 206,
            Self::Stream => 230,
        }
    }
}
