//! Sessions and logins through the front door.

use std::thread;

use domain_events::Timestamp;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, PASSWORD, eventually},
    cloud,
};

const PROBLEM: &str = "urn:problem-type:shop:";

/// A session: what a login or the last refresh gave.
struct Session {
    access_token: String,
    refresh_token: String,
}

impl Session {
    fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert!(answer["refresh_expires_in"].as_u64().is_some_and(|seconds| seconds <= 30 * 24 * 60 * 60));
        Self { access_token: text("access_token"), refresh_token: text("refresh_token") }
    }

    fn open(client: &Client) -> Self {
        let body = json!({ "email": client.email, "password": PASSWORD });
        Self::of(&Client::default().post("/api/users/login", &body).expect(200))
    }

    fn refresh(&self) -> Answer {
        let body = json!({ "refresh_token": self.refresh_token });
        Client::default().post("/api/users/token/refresh", &body)
    }

    fn refreshed(&self) -> Self {
        Self::of(&self.refresh().expect(200))
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let headers = [("authorization", format!("Bearer {}", self.access_token))];
        Client::default().send(method, path, &headers, body)
    }

    fn log_out(&self) {
        let body = json!({ "refresh_token": self.refresh_token });
        Client::default().post("/api/users/logout", &body).expect(204);
    }

    /// It can't be refreshed any more.
    fn is_over(&self) {
        refused(self.refresh(), "invalid-refresh-token");
    }
}

fn refused(answer: Answer, problem: &str) {
    assert_eq!(answer.expect(401)["type"], format!("{PROBLEM}{problem}"));
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_session_goes_on_for_as_long_as_it_is_refreshed_and_ends_with_a_logout() {
    let client = Client::customer();
    let (mut session, other) = (Session::open(&client), Session::open(&client));
    for _ in 0..3 {
        session = session.refreshed();
        let user = session.send("GET", "/api/users/me", None).expect(200);
        assert_eq!(user["user_id"], *client.user_id);
    }
    session.log_out();
    session.is_over();
    session.log_out();
    // The other one does not notice.
    let (other, third) = (other.refreshed(), Session::open(&client));
    other.send("POST", "/api/users/logout-all", None).expect(204);
    other.is_over();
    third.is_over();
    // An access token is not asked about at its session.
    other.send("GET", "/api/users/me", None).expect(200);
    Session::open(&client).refreshed();
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn of_two_refreshes_at_once_one_wins_and_the_session_stays() {
    let session = Session::open(&Client::customer());
    let answers = thread::scope(|scope| {
        let clicks: Vec<_> = (0..4).map(|_| scope.spawn(|| session.refresh())).collect();
        clicks.into_iter().map(|click| click.join().unwrap()).collect::<Vec<_>>()
    });
    let (mut won, lost): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    lost.into_iter().for_each(|answer| refused(answer, "refresh-token-superseded"));
    Session::of(&won.remove(0).json()).refreshed();
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_token_that_was_used_long_ago_ends_its_session_and_is_logged() {
    let started = Timestamp::now();
    let client = Client::customer();
    let (stolen, other) = (Session::open(&client), Session::open(&client));
    let present = stolen.refreshed().refreshed();
    stolen.is_over();
    present.is_over();
    other.refreshed();
    eventually("the log tells of it", || {
        let log = cloud::everything_logged(started);
        let told =
            log.lines().find(|line| line.contains("refresh_token_reused") && line.contains(&client.user_id));
        told.map(|line| assert!(line.contains("WARN"), "{line}"))
    });
    let log = cloud::everything_logged(started);
    for token in [&stolen.refresh_token, &present.refresh_token, &present.access_token] {
        assert!(!log.contains(token.as_str()), "a token is in the log");
    }
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_changed_password_ends_all_sessions_and_a_changed_role_shows_at_the_next_refresh() {
    let client = Client::customer();
    let mut session = Session::open(&client);
    let promotion = format!("/api/users/{}/role", client.user_id);
    let key = [("x-api-key", cloud::api_key())];
    Client::default().send("PUT", &promotion, &key, Some(&json!({ "role": "admin" }))).expect(200);
    assert_eq!(session.send("GET", "/api/users", None).status, 403);
    session = session.refreshed();
    session.send("GET", "/api/users", None).expect(200);

    let other = Session::open(&client);
    let change = json!({ "current_password": PASSWORD, "new_password": "another battery, another staple" });
    session.send("PUT", "/api/users/me/password", Some(&change)).expect(204);
    session.is_over();
    other.is_over();
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn sessions_end_with_their_account() {
    let client = Client::customer();
    let session = Session::open(&client);
    client.send("DELETE", "/api/users/me", &[], None).expect(204);
    session.is_over();
    for token in ["", "no token", &session.refresh_token[1..], &format!("{}A", session.refresh_token)] {
        let answer = Client::default().post("/api/users/token/refresh", &json!({ "refresh_token": token }));
        refused(answer, "invalid-refresh-token");
    }
}
