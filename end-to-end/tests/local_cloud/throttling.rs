//! Wrong logins are slowed down, whichever front door they come through and whatever they say of themselves.
//!
//! The tests come from loopback addresses of their own, so that they block nobody else.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};
use uuid::Uuid;

use crate::{
    client::{Client, PASSWORD},
    cloud,
};

/// Wrong logins that cost an account, or an address, no time.
const FREE_FOR_AN_ACCOUNT: usize = 5;
const FREE_FOR_AN_ADDRESS: usize = 100;
const WRONG: &str = "not the right password";

/// The front doors: the API, and the load balancer where there is one.
fn doors() -> [String; 2] {
    [cloud::api_url(), cloud::variable("SHOP_LOAD_BALANCER_URL")]
}

/// An address of this machine that nobody else uses.
fn new_address() -> Ipv4Addr {
    let [a, b, c, ..] = *Uuid::new_v4().as_bytes();
    Ipv4Addr::new(127, a | 1, b, c | 1)
}

/// An answer to a login: its status, and how long to wait, if that is what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    status: u16,
    retry_after: Option<u64>,
}

/// A login that comes from an address and claims to come from elsewhere.
fn log_in(door: &str, from: Ipv4Addr, claims: &[(&str, &str)], email: &str, password: &str) -> Outcome {
    let (host, path) = door.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = json!({ "email": email, "password": password }).to_string();
    let claims: String = claims.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "POST /{path}/api/users/login HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{claims}\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = cloud::block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let mut stream = socket.connect(host.parse().unwrap()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    });
    let answer = answer.unwrap_or_else(|error: std::io::Error| panic!("{door}: {error}"));
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let retry_after = answer.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("retry-after").then(|| value.parse().unwrap())
    });
    assert_eq!(status == 429, retry_after.is_some(), "{answer}");
    assert_eq!(status == 429, answer.contains("urn:problem-type:shop:too-many-attempts"), "{answer}");
    Outcome { status, retry_after }
}

/// Fails to log in until that is refused for a while, and tries something within that while. Each time that the way was
/// clear again, it stays closed for longer: a slow machine only takes more turns.
fn while_blocked<T>(mut fail: impl FnMut() -> Outcome, attempt: impl Fn() -> T) -> T {
    loop {
        let started = Instant::now();
        let Outcome { status, retry_after } = fail();
        let Some(seconds) = retry_after else {
            assert_eq!(status, 401);
            continue;
        };
        let outcome = attempt();
        // The answer's seconds are rounded up.
        if started.elapsed() < Duration::from_secs(seconds.saturating_sub(1)) {
            return outcome;
        }
        thread::sleep(Duration::from_secs(seconds));
    }
}

#[test]
#[ignore = "needs the local cloud with a load balancer: cargo xtask test"]
fn an_account_is_guarded_at_all_doors_at_once() {
    let client = Client::customer();
    let unknown = format!("{}@shop.example", Uuid::now_v7());
    let [api, balancer] = &doors();
    for email in [&client.email, &unknown] {
        // Each from elsewhere: it is not the address that is blocked.
        let failures: Vec<u16> = (0..FREE_FOR_AN_ACCOUNT)
            .map(|attempt| log_in([api, balancer][attempt % 2], new_address(), &[], email, WRONG).status)
            .collect();
        assert_eq!(failures, [401; FREE_FOR_AN_ACCOUNT]);
        let statuses = while_blocked(
            || log_in(api, new_address(), &[], email, WRONG),
            || [api, balancer].map(|door| log_in(door, new_address(), &[], email, PASSWORD).status),
        );
        assert_eq!(statuses, [429, 429], "{email}");
    }
    // Who is logged in and wants to change something is asked for the same password.
    let change = json!({ "current_password": PASSWORD, "new_password": "another battery, another staple" });
    let refused = while_blocked(
        || log_in(api, new_address(), &[], &client.email, WRONG),
        || client.send("PUT", "/api/users/me/password", &[], Some(&change)).status,
    );
    assert_eq!(refused, 429);
}

#[test]
#[ignore = "needs the local cloud with a load balancer: cargo xtask test"]
fn an_address_is_guarded_whatever_it_claims_to_be() {
    let client = Client::customer();
    let (source, elsewhere) = (new_address(), new_address());
    let doors = doors();
    thread::scope(|scope| {
        for door in &doors {
            scope.spawn(move || {
                for _ in 0..FREE_FOR_AN_ADDRESS / 2 / FREE_FOR_AN_ACCOUNT {
                    let email = format!("{}@shop.example", Uuid::now_v7());
                    for _ in 0..FREE_FOR_AN_ACCOUNT {
                        assert_eq!(log_in(door, source, &[], &email, WRONG).status, 401);
                    }
                }
            });
        }
    });
    let (text, fresh) = (source.to_string(), elsewhere.to_string());
    let forged = format!("{fresh}, {fresh}");
    let fail = || {
        let email = format!("{}@shop.example", Uuid::now_v7());
        log_in(&doors[0], source, &[], &email, WRONG)
    };
    for claims in [
        vec![],
        vec![("x-forwarded-for", fresh.as_str())],
        vec![("x-forwarded-for", forged.as_str())],
        vec![("x-forwarded-for", fresh.as_str()), ("x-forwarded-for", fresh.as_str())],
        vec![
            ("forwarded", "for=192.0.2.1"),
            ("x-real-ip", fresh.as_str()),
            ("true-client-ip", fresh.as_str()),
        ],
    ] {
        // With the right password, too: who guesses must not learn when one is right.
        let attempt = || {
            [&doors[0], &doors[1]].map(|door| log_in(door, source, &claims, &client.email, PASSWORD).status)
        };
        assert_eq!(while_blocked(fail, attempt), [429, 429], "{claims:?}");
    }
    // And nobody can have another one blocked.
    for door in &doors {
        let claims = [("x-forwarded-for", text.as_str())];
        assert_eq!(log_in(door, elsewhere, &claims, &client.email, PASSWORD).status, 200);
    }
}
