use std::path::PathBuf;

use local_servers::Postgres;
use sqlx::{
    Connection, Executor, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

/// The password that every test's role has.
const PASSWORD: &str = "it's a \"secret\"";

async fn connect(server: &Postgres, roots: &str, password: &str) -> sqlx::Result<PgConnection> {
    let (host, port) = server.host_and_port();
    let options = PgConnectOptions::new_without_pgpass()
        .host(&host)
        .port(port)
        .username("shop")
        .password(password)
        .database("reports")
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert_from_pem(roots.as_bytes().to_vec());
    PgConnection::connect_with(&options).await
}

fn started() -> Postgres {
    let server = Postgres::start().unwrap();
    // Twice is as good as once.
    for password in ["another", PASSWORD] {
        server.set_password("shop", password).unwrap();
        server.create_database("reports", "shop").unwrap();
    }
    server
}

#[tokio::test]
async fn it_answers_over_tls_to_who_knows_a_password_and_its_roots() {
    let (server, other) = (started(), Postgres::start().unwrap());
    let mut connection = connect(&server, server.roots(), PASSWORD).await.unwrap();
    connection.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)").await.unwrap();
    assert_eq!(server.psql("reports", "SELECT id, 'a' FROM kept").unwrap(), "7|a");

    let distrusted = connect(&server, other.roots(), PASSWORD).await.err().unwrap();
    assert!(distrusted.to_string().contains("certificate"), "{distrusted}");
    let denied = connect(&server, server.roots(), "another").await.err().unwrap();
    assert_eq!(denied.as_database_error().unwrap().code().unwrap(), "28P01");
}

#[tokio::test]
async fn a_failover_ends_sessions_and_lets_nobody_write() {
    let server = started();
    let mut connection = connect(&server, server.roots(), PASSWORD).await.unwrap();
    connection.execute("CREATE TABLE kept (id int)").await.unwrap();
    server.terminate_backends("reports").unwrap();
    connection.execute("SELECT 1").await.err().unwrap();

    server.set_read_only("reports", true).unwrap();
    let mut connection = connect(&server, server.roots(), PASSWORD).await.unwrap();
    let refused = connection.execute("INSERT INTO kept VALUES (1)").await.err().unwrap();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "25006");

    server.set_read_only("reports", false).unwrap();
    let mut connection = connect(&server, server.roots(), PASSWORD).await.unwrap();
    connection.execute("INSERT INTO kept VALUES (1)").await.unwrap();

    server.stop().unwrap();
    connect(&server, server.roots(), PASSWORD).await.err().unwrap();
    server.restart().unwrap();
    assert_eq!(server.psql("reports", "SELECT count(*) FROM kept").unwrap(), "1");
}

#[tokio::test]
async fn faults_are_on_the_way_to_it() {
    let server = started();
    let mut connection = connect(&server, server.roots(), PASSWORD).await.unwrap();
    server.line().garbage().unwrap();
    connection.execute("SELECT 1").await.err().unwrap();
    server.line().refuse().unwrap();
    let refused = connect(&server, server.roots(), PASSWORD).await.err().unwrap();
    assert!(matches!(refused, sqlx::Error::Io(_)), "{refused}");
    server.line().pass().unwrap();
    connect(&server, server.roots(), PASSWORD).await.unwrap();
}

#[test]
fn nothing_is_left_of_it() {
    let server = started();
    let folder = PathBuf::from(server.psql("postgres", "SHOW data_directory").unwrap());
    assert!(folder.is_absolute());
    server.stop().unwrap();
    assert!(folder.exists());
    drop(server);
    assert!(!folder.exists(), "{} is still there", folder.display());
}
