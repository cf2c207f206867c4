use std::{sync::LazyLock, time::Duration};

use access_token::{AccessTokens, Role};
use lambda_dispatch::{Dispatcher, Outbox};
use lambda_runtime::Context;
use local_servers::Postgres;
use report_service::{Database, Login, Place, ReportService};
use serde_json::{Value, json, value::RawValue};
use service_config::{ApiSecret, SecretCache, Version, Versions};
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use test_support::{
    TopicStub,
    door::{self, HttpAnswer, HttpEvent},
};
use uuid::Uuid;

/// All tests share one server, each with a database and a user of its own.
static POSTGRES: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().expect("PostgreSQL"));

/// The server that all tests share, which none of them may stop or cut off.
pub(crate) fn postgres() -> &'static Postgres {
    &POSTGRES
}

/// The service on a database of its own.
pub(crate) struct Reports {
    pub(crate) tokens: AccessTokens,
    pub(crate) place: TestDatabase,
    dispatcher: Dispatcher<ReportService>,
    _queues: TopicStub,
}

/// A database, and the user of the same name to whom it belongs.
pub(crate) struct TestDatabase {
    server: &'static Postgres,
    pub(crate) name: String,
}

impl TestDatabase {
    /// An empty one.
    pub(crate) fn create() -> Self {
        Self::on(postgres())
    }

    /// An empty one on a server of the test's own.
    pub(crate) fn on(server: &'static Postgres) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        server.set_password(&name, &name).unwrap();
        server.create_database(&name, &name).unwrap();
        Self { server, name }
    }

    /// One that is there already.
    pub(crate) fn named(server: &'static Postgres, name: &str) -> Self {
        Self { server, name: name.to_owned() }
    }

    pub(crate) fn server(&self) -> &'static Postgres {
        self.server
    }

    /// Where it is, as the first secret says.
    pub(crate) fn place(&self) -> Place {
        let (host, port) = self.server.host_and_port();
        Place::new(&host, port, &self.name, "the secret of the password")
    }

    /// As a service connects to it.
    pub(crate) fn connect(&self) -> Database {
        let login = Login::new(&self.name, self.name.as_str());
        Database::new(fixed(self.place()), fixed(login), self.server.roots())
    }

    /// A session of somebody else.
    pub(crate) async fn superuser(&self) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.server.plain_port())
            .username("postgres")
            .database(&self.name)
            .ssl_mode(PgSslMode::Disable);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// Waits until so many transactions wait for a lock, or more.
    pub(crate) async fn waits(&self, transactions: i64) {
        let mut connection = self.superuser().await;
        let waiting = "SELECT count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let wait = async {
            while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await.unwrap()
                < transactions
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("nobody waits");
    }

    /// Runs SQL as the superuser, past the service.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql).unwrap()
    }

    /// All rows of what a query reads, as JSON.
    pub(crate) fn rows(&self, query: &str) -> Value {
        let text =
            self.psql(&format!("SELECT coalesce(jsonb_agg(to_jsonb(row)), '[]') FROM ({query}) AS row"));
        serde_json::from_str(&text).unwrap()
    }

    /// The one value that a query reads.
    pub(crate) fn value(&self, query: &str) -> Value {
        serde_json::from_str(&self.psql(&format!("SELECT to_jsonb(({query}))"))).unwrap_or(Value::Null)
    }

    /// All that reports are made of.
    pub(crate) fn contents(&self) -> Value {
        json!({
            "orders": self.rows("SELECT * FROM report.orders ORDER BY order_id"),
            "lines": self.rows("SELECT * FROM report.order_lines ORDER BY order_id, product_id"),
            "products": self.rows("SELECT * FROM report.products ORDER BY product_id"),
            "erased": self.rows("SELECT user_id FROM public.erased_customers ORDER BY user_id"),
        })
    }
}

impl Reports {
    /// With the schema that the code knows.
    pub(crate) async fn open() -> Self {
        let reports = Self::empty();
        reports.task("migrate", Value::Null).await;
        reports
    }

    /// Without any schema.
    pub(crate) fn empty() -> Self {
        let place = TestDatabase::create();
        let database = place.connect();
        Self::of(place, database)
    }

    /// On a database to which the service connects in a way of the test's own.
    pub(crate) fn of(place: TestDatabase, database: Database) -> Self {
        let secret = api_secret();
        let service = ReportService::new(database, secret.clone());
        let queues = TopicStub::start();
        let queue = format!("{}/000000000000/dev-report-events", queues.endpoint());
        let outbox = Outbox::without_topic(&queues.sdk_config(), queue);
        let dispatcher = Dispatcher::new(service, outbox, "dev");
        Self { tokens: AccessTokens::new(secret), place, dispatcher, _queues: queues }
    }

    /// Hands over any raw event.
    pub(crate) async fn handle(&self, event: String) -> String {
        let event = RawValue::from_string(event).unwrap();
        self.dispatcher.handle(event, Context::default()).await.unwrap().get().to_owned()
    }

    pub(crate) async fn send(&self, request: HttpEvent) -> HttpAnswer {
        HttpAnswer::parse(&self.handle(request.build()).await)
    }

    /// The token of an admin.
    pub(crate) fn admin(&self) -> String {
        self.tokens.issue(Uuid::now_v7(), Role::Admin).unwrap().token
    }

    /// Delivers messages as one batch; answers the positions of those that failed.
    pub(crate) async fn deliver(&self, bodies: impl IntoIterator<Item = String>) -> Vec<usize> {
        let answer = self.handle(door::sqs("dev-report-events", bodies)).await;
        let position = |id: &String| id.rsplit('-').next().unwrap().parse().unwrap();
        let mut failed: Vec<usize> = door::failures(&answer).iter().map(position).collect();
        failed.sort();
        failed
    }

    /// Delivers messages as one batch, all of which have to be handled.
    #[track_caller]
    pub(crate) fn takes(&self, bodies: impl IntoIterator<Item = String>) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move { assert_eq!(self.deliver(bodies).await, [0; 0], "messages failed: {place}") }
    }

    /// Does a task, which has to succeed.
    #[track_caller]
    pub(crate) fn task(&self, name: &str, input: Value) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move { self.try_task(name, input).await.unwrap_or_else(|error| panic!("{name}: {error}: {place}")) }
    }

    /// Does a task; answers its answer, or what the operator sees of the error.
    pub(crate) async fn try_task(&self, name: &str, input: Value) -> Result<Value, String> {
        let event = RawValue::from_string(json!({ "task": name, "input": input }).to_string()).unwrap();
        let answer = self.dispatcher.handle(event, Context::default()).await;
        answer.map(|answer| serde_json::from_str(answer.get()).unwrap()).map_err(|error| error.to_string())
    }

    /// The state of an order: status and version.
    pub(crate) fn state(&self, order_id: Uuid) -> Value {
        let row = format!(
            "SELECT jsonb_build_array(status, version) FROM report.orders WHERE order_id = '{order_id}'"
        );
        self.place.value(&row)
    }
}

/// A secret that never changes.
pub(crate) fn fixed<T: serde::de::DeserializeOwned + Send + Sync + 'static>(value: T) -> SecretCache<T> {
    SecretCache::fixed(Versions { current: Version { id: "v1".to_owned(), value }, previous: None })
}

fn api_secret() -> SecretCache<ApiSecret> {
    fixed(ApiSecret::new("an API key", "a secret of at least thirty-two bytes").unwrap())
}

/// A transaction of somebody else that stays open, and what it has locked, locked.
pub(crate) struct Blocker(PgConnection);

impl Blocker {
    pub(crate) async fn hold(place: &TestDatabase, statement: &str) -> Self {
        let mut connection = place.superuser().await;
        let begin = sqlx::AssertSqlSafe(format!("BEGIN; {statement}"));
        sqlx::raw_sql(begin).execute(&mut connection).await.unwrap();
        Self(connection)
    }

    /// Holds the row of an order that is not there yet: whoever writes it waits.
    pub(crate) async fn hold_order(place: &TestDatabase, order_id: Uuid) -> Self {
        let insert = "INSERT INTO report.orders (order_id, version, status, placed_at) VALUES";
        Self::hold(place, &format!("{insert} ('{order_id}', 0, 'PENDING', now())")).await
    }

    pub(crate) async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}
