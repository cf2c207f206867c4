use std::time::Duration;

use local_servers::Redis;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates};

/// As a service connects, with some patience instead of a service's haste.
fn connect(server: &Redis, roots: &str, patience: Duration) -> RedisResult<redis::Connection> {
    connect_as(server, server.auth_token(), roots, patience)
}

fn connect_as(
    server: &Redis,
    token: &str,
    roots: &str,
    patience: Duration,
) -> RedisResult<redis::Connection> {
    let info: ConnectionInfo = server.url().into_connection_info()?;
    let settings = info.redis_settings().clone().set_password(token);
    let tls = TlsCertificates { client_tls: None, root_cert: Some(roots.as_bytes().to_vec()) };
    let client = Client::build_with_tls(info.set_redis_settings(settings), tls)?;
    let connection = client.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    Ok(connection)
}

fn ping(connection: &mut redis::Connection) -> RedisResult<String> {
    redis::cmd("PING").query(connection)
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

#[test]
fn it_answers_over_tls_to_who_knows_its_token_and_its_roots() {
    let (server, other) = (Redis::start().unwrap(), Redis::start().unwrap());
    let mut connection = connect(&server, server.roots(), LONG).unwrap();
    assert_eq!(ping(&mut connection).unwrap(), "PONG");
    assert!(connect(&server, other.roots(), LONG).is_err(), "the CA of another server vouches for this one");

    let plain = server.plain_address();
    let mut direct = Client::open(
        ConnectionAddr::Tcp(plain.ip().to_string(), plain.port()).into_connection_info().unwrap(),
    )
    .unwrap()
    .get_connection()
    .unwrap();
    assert!(ping(&mut direct).unwrap_err().to_string().contains("NOAUTH"));
}

#[test]
fn faults_do_what_they_say_and_pass_undoes_them() {
    let server = Redis::start().unwrap();
    let line = server.line();
    let mut connection = connect(&server, server.roots(), SHORT).unwrap();

    line.garbage().unwrap();
    ping(&mut connection).unwrap_err();
    assert!(connect(&server, server.roots(), SHORT).is_err());

    line.pass().unwrap();
    let mut connection = connect(&server, server.roots(), LONG).unwrap();
    line.refuse().unwrap();
    assert!(ping(&mut connection).is_err(), "an open connection stays");
    let refused = connect(&server, server.roots(), LONG).err().unwrap();
    assert!(refused.is_connection_refusal(), "{refused}");

    line.hang().unwrap();
    let silent = connect(&server, server.roots(), SHORT).err().unwrap();
    assert!(silent.is_timeout(), "{silent}");

    line.pass().unwrap();
    let mut connection = connect(&server, server.roots(), SHORT).unwrap();
    line.hang().unwrap();
    assert!(ping(&mut connection).unwrap_err().is_timeout());

    line.delay(SHORT * 2).unwrap();
    let mut connection = connect(&server, server.roots(), LONG).unwrap();
    connection.set_read_timeout(Some(SHORT)).unwrap();
    assert!(ping(&mut connection).unwrap_err().is_timeout());

    line.pass().unwrap();
    let mut connection = connect(&server, server.roots(), LONG).unwrap();
    let accepted = line.accepted();
    line.cut();
    ping(&mut connection).unwrap_err();
    connect(&server, server.roots(), LONG).unwrap();
    assert_eq!(line.accepted(), accepted + 1);
}

#[test]
fn a_stopped_server_comes_back_empty() {
    let server = Redis::start().unwrap();
    let mut connection = connect(&server, server.roots(), LONG).unwrap();
    redis::cmd("SET").arg("key").arg("value").exec(&mut connection).unwrap();
    server.stop().unwrap();
    ping(&mut connection).unwrap_err();
    assert!(connect(&server, server.roots(), LONG).is_err());

    server.restart().unwrap();
    let mut connection = connect(&server, server.roots(), LONG).unwrap();
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut connection).unwrap(), 0);
}

#[test]
fn another_token_holds_over_a_restart() {
    let server = Redis::start().unwrap();
    server.set_auth_token("an other").unwrap();
    server.restart().unwrap();
    assert!(connect(&server, server.roots(), LONG).is_err(), "the first token is still good");
    let mut connection = connect_as(&server, "an other", server.roots(), LONG).unwrap();
    assert_eq!(ping(&mut connection).unwrap(), "PONG");
    server.set_auth_token("the_third").unwrap();
    connect_as(&server, "the_third", server.roots(), LONG).unwrap();
}
