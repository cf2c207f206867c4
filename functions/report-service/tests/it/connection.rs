use std::time::Duration;

use local_servers::Postgres;
use report_service::{Database, Login};
use serde_json::json;
use test_support::{Logs, door};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    harness::{Blocker, Reports, TestDatabase, fixed},
    secrets_manager::SecretsManager,
    story::Story,
};

#[tokio::test]
async fn a_server_that_goes_away_in_mid_transaction_costs_a_delivery_and_no_more() {
    let reports = Reports::open().await;
    let story = Story::delivered();
    reports.takes([story.event(0)]).await;
    for step in 1..story.states.len() {
        let blocker = Blocker::hold(
            &reports.place,
            &format!("SELECT FROM report.orders WHERE order_id = '{}' FOR UPDATE", story.order_id),
        )
        .await;
        let delivery = reports.deliver([story.event(step)]);
        let failover = async {
            reports.place.waits(1).await;
            reports.place.server().terminate_backends(&reports.place.name).unwrap();
        };
        let (failed, ()) = tokio::join!(delivery, failover);
        drop(blocker);
        assert_eq!(failed, [0], "what was not committed is not acknowledged");
        assert_eq!(reports.state(story.order_id)[1], step, "and not there");
        // Twice: the answer to the commit can get lost, too.
        for _ in 0..2 {
            reports.takes([story.event(step)]).await;
        }
    }
    assert_eq!(reports.state(story.order_id), json!(["DELIVERED", 4]));
    assert_eq!(reports.place.value("SELECT sum(revenue) FROM report.order_lines"), 3500);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_nothing() {
    let reports = Reports::open().await;
    let story = Story::delivered();
    for event in story.events() {
        reports.takes([event]).await;
        reports.place.server().terminate_backends(&reports.place.name).unwrap();
    }
    assert_eq!(reports.state(story.order_id), json!(["DELIVERED", 4]));
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_left_alone_once_another_one_does() {
    let reports = Reports::open().await;
    let story = Story::delivered();
    reports.takes([story.event(0)]).await;
    let server = reports.place.server();
    server.set_read_only(&reports.place.name, true).unwrap();
    assert_eq!(reports.deliver([story.event(1)]).await, [0]);
    assert_eq!(reports.state(story.order_id), json!(["PENDING", 1]));
    // Sessions that are open stay read-only, as those with a former first server of a cluster do.
    server.set_read_only(&reports.place.name, false).unwrap();
    assert_eq!(reports.deliver(story.events()).await, [0; 0]);
    assert_eq!(reports.state(story.order_id), json!(["DELIVERED", 4]));
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_still_read() {
    let reports = Reports::open().await;
    reports.takes(Story::delivered().events()).await;
    reports.place.server().set_read_only(&reports.place.name, true).unwrap();
    let read = reports.task("read-orders", json!({})).await;
    assert_eq!(read["orders"].as_array().map(Vec::len), Some(1));
}

/// With a server of its own, which the others need not miss.
#[tokio::test]
async fn a_server_that_is_away_for_a_while_loses_nothing() {
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start().unwrap()));
    let place = TestDatabase::on(server);
    let database = place.connect();
    let reports = Reports::of(place, database);
    reports.task("migrate", json!({})).await;
    let story = Story::delivered();
    reports.takes([story.event(0)]).await;
    server.stop().unwrap();
    assert_eq!(reports.deliver([story.event(1), story.event(2)]).await, [0, 1]);
    server.restart().unwrap();
    reports.takes([story.event(1), story.event(2)]).await;

    // The connections that are open say nothing any more.
    server.line().hang().unwrap();
    assert_eq!(reports.deliver([story.event(3)]).await, [0]);
    server.line().pass().unwrap();
    reports.takes([story.event(3)]).await;
    assert_eq!(reports.state(story.order_id), json!(["DELIVERED", 4]));
    server.stop().unwrap();
}

#[tokio::test]
async fn a_password_that_was_rotated_is_read_once_and_fails_no_message() {
    let place = TestDatabase::create();
    let secrets = SecretsManager::start().await;
    secrets.holds("v1", &place.name, &place.name);
    let database = Database::new(fixed(place.place()), secrets.load().await, place.server().roots());
    let reports = Reports::of(place, database);
    reports.task("migrate", json!({})).await;
    let story = Story::delivered();
    reports.takes([story.event(0)]).await;
    assert_eq!(secrets.reads(), 1);

    let server = reports.place.server();
    server.set_password(&reports.place.name, "another one").unwrap();
    secrets.holds("v2", &reports.place.name, "another one");
    reports.takes([story.event(1)]).await;
    server.terminate_backends(&reports.place.name).unwrap();
    reports.takes([story.event(2), story.event(3)]).await;
    assert_eq!(secrets.reads(), 2);
    server.terminate_backends(&reports.place.name).unwrap();
    reports.takes(story.events()).await;
    reports.task("migrate", json!({})).await;
    assert_eq!(secrets.reads(), 2);
}

#[tokio::test]
async fn a_migration_finds_the_new_password_too() {
    let place = TestDatabase::create();
    let secrets = SecretsManager::start().await;
    secrets.holds("v1", &place.name, "the one before");
    let database = Database::new(fixed(place.place()), secrets.load().await, place.server().roots());
    secrets.holds("v2", &place.name, &place.name);
    let reports = Reports::of(place, database);
    reports.task("migrate", json!({})).await;
    assert_eq!(secrets.reads(), 2);
}

#[tokio::test]
async fn a_password_that_nobody_knows_fails_messages_and_is_not_asked_for_each_time() {
    let place = TestDatabase::create();
    let secrets = SecretsManager::start().await;
    secrets.holds("v1", &place.name, "wrong password");
    let database = Database::new(fixed(place.place()), secrets.load().await, place.server().roots());
    let reports = Reports::of(place, database);
    let logs = Logs::capture();
    assert_eq!(reports.deliver(Story::delivered().events()).await, [0, 1, 2, 3]);
    assert_eq!(secrets.reads(), 2);
    let logged = logs.take().join("\n");
    assert!(logged.contains("password authentication failed"), "{logged}");
    assert!(!logged.contains("wrong password"), "{logged}");
}

#[tokio::test]
async fn only_a_certificate_that_is_trusted_and_of_the_right_name_will_do() {
    let place = TestDatabase::create();
    let login = || fixed(Login::new(&place.name, place.name.as_str()));
    let (host, port) = place.server().host_and_port();
    let database = |host: &str, port, roots: &str| {
        let place = report_service::Place::new(host, port, &place.name, "the secret of the password");
        Database::new(fixed(place), login(), roots)
    };
    let roots = place.server().roots();
    let others = service_config::trusted_roots().unwrap();
    let elsewhere = also_at("127.0.0.2", port).await;
    for (database, why) in [
        (database(&host, port, &others), "UnknownIssuer"),
        (database("127.0.0.2", elsewhere, roots), "certificate not valid for name"),
    ] {
        let error = database.read().await.unwrap_err();
        let error = telemetry::chain(&error).to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

/// Passes one connection to another address on to the server; answers the port there.
async fn also_at(address: &str, port: u16) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let elsewhere = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
    });
    elsewhere
}

#[tokio::test]
async fn the_service_is_ready_when_its_database_is() {
    let reports = Reports::empty();
    let ready = || door::http_v2("GET", "/api/reports/health/ready");
    assert_eq!(reports.send(ready()).await.status, 503);
    reports.task("migrate", json!({})).await;
    assert_eq!(reports.send(ready()).await.status, 200);
    let live = reports.send(door::http_v2("GET", "/api/reports/health/live")).await;
    assert_eq!(live.status, 200);
}

/// What a function that was frozen in the middle of a transaction holds, it does not hold for ever.
#[tokio::test]
async fn transactions_have_their_limits() {
    let reports = Reports::open().await;
    let database = reports.place.connect();
    for mut transaction in [database.read().await.unwrap(), database.write().await.unwrap()] {
        for (setting, most) in [
            ("statement_timeout", Duration::from_secs(10)),
            ("idle_in_transaction_session_timeout", Duration::from_secs(20)),
        ] {
            let limit: i64 = sqlx::query_scalar("SELECT setting::bigint FROM pg_settings WHERE name = $1")
                .bind(setting)
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
            let most = i64::try_from(most.as_millis()).unwrap();
            assert!((1..=most).contains(&limit), "{setting} is {limit}");
        }
    }
}
