use std::{
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use access_token::Role;
use http::HeaderName;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    client::{ApiClient, Reply, Request},
    token::{Secret, Token, Verdict},
};
use crate::journal::{Attempt, Journal, Outcome, What};

#[cfg(test)]
mod tests;

/// What does not come right within this time won't any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Milliseconds that one or the other waits for a single answer.
const FOR_AN_ANSWER: Range<u64> = 3_000..10_000;

/// Pauses between tries grow from the first to the last, each by chance between nothing and all of it.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Tokens that are got for one deed before it is given up.
const RENEWALS: usize = 3;

/// The share of buttons that are pushed twice at once.
pub(super) const DOUBLE_CLICKS: f64 = 0.1;

const PASSWORD: &str = "correct horse battery staple";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What all shoppers can: they repeat what failed, keep a session, and write down what they were told.
pub(super) struct Person {
    number: usize,
    client: Arc<ApiClient>,
    journal: Arc<Journal>,
    secret: Arc<Secret>,
    /// Everything that is left to chance follows from the seed.
    pub(super) rng: StdRng,
    pub(super) account: Option<Account>,
}

/// An account and its session.
pub(super) struct Account {
    pub(super) user_id: String,
    email: String,
    /// The one word that all personal data of this person has in it.
    pub(super) mark: Uuid,
    access: Token,
    refresh: Option<String>,
    /// The deletion was asked for: from now on it may be gone.
    leaving: bool,
}

/// Something that is being done.
struct Deed {
    number: usize,
    began: Instant,
    /// Bodies of its answers are looked at again.
    worth_keeping: bool,
}

impl Person {
    pub(super) fn new(
        number: usize,
        seed: u64,
        api: &str,
        journal: &Arc<Journal>,
        secret: &Arc<Secret>,
    ) -> Self {
        // The shop counts failed logins by source: shoppers don't share one.
        let host = u8::try_from(number % 250).unwrap_or_default() + 2;
        let mut rng = StdRng::seed_from_u64(seed ^ ((number as u64 + 1) << 48));
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
        let for_an_answer = Duration::from_millis(rng.random_range(FOR_AN_ANSWER));
        Self {
            number,
            client: Arc::new(ApiClient::new(api, source, for_an_answer)),
            journal: Arc::clone(journal),
            secret: Arc::clone(secret),
            rng,
            account: None,
        }
    }

    /// Waits a while, as people do.
    pub(super) async fn think(&mut self, longest: Duration) {
        sleep(longest.mul_f64(self.rng.random_range(0.2..1.0))).await;
    }

    /// A new id of this person's own making.
    pub(super) fn new_id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid()
    }

    /// Registers as somebody new and logs in. Nothing if that can't be had.
    pub(super) async fn become_somebody(&mut self, role: Role) -> Option<()> {
        let mark = self.new_id();
        let (email, name) = (format!("{mark}@chaos.example"), format!("Ada {mark}"));
        let user_id = self.register(&email, &name).await?;
        if role == Role::Admin {
            self.promote(&user_id).await?;
        }
        let (access, refresh) = self.log_in(&email).await.ok()?;
        self.account = Some(Account { user_id, email, mark, access, refresh: Some(refresh), leaving: false });
        Some(())
    }

    /// Wants something of the shop that needs no token.
    pub(super) async fn ask_openly(&mut self, what: What, request: Request) -> Option<Wanted> {
        let deed = self.begin(what);
        let reply = self.insist(&deed, &request, None).await?;
        Some(Wanted { deed: deed.number, reply })
    }

    /// Wants something of the shop, as long as it takes. Nothing if no repetition cured the failure.
    pub(super) async fn ask(&mut self, what: What, request: &Request) -> Option<Wanted> {
        let deed = self.begin(what);
        self.pursue(deed, request).await
    }

    /// Wants the same thing twice at once, as with a double click.
    pub(super) async fn ask_twice(&mut self, what: What, request: &Request) -> [Option<Wanted>; 2] {
        let Some(token) = self.account.as_ref().map(|account| account.access.clone()) else {
            return [None, None];
        };
        let (client, echo) = (Arc::clone(&self.client), self.begin(what.clone()));
        let (first, second) =
            tokio::join!(self.ask(what, request), Try::make(&client, request, Some(&token)));
        let second = match self.note(&echo, second) {
            Ok(reply) if reply.status != 401 => Some(Wanted { deed: echo.number, reply }),
            _ => self.pursue(echo, request).await,
        };
        [first, second]
    }

    async fn pursue(&mut self, deed: Deed, request: &Request) -> Option<Wanted> {
        for _ in 0..RENEWALS {
            let token = self.account.as_ref()?.access.clone();
            let reply = self.insist(&deed, request, Some(&token)).await?;
            if reply.status != 401 || self.renew().await? == Session::Over {
                return Some(Wanted { deed: deed.number, reply });
            }
        }
        self.journal.complain(deed.number, "one fresh token after the other is refused".to_owned());
        None
    }

    /// Says that an answer was not what the API promises.
    pub(super) fn complain(&self, wanted: &Wanted, complaint: &str) {
        let Wanted { deed, reply } = wanted;
        self.journal.complain(*deed, format!("{complaint}: {} {}", reply.status, reply.body));
    }

    /// Gets new tokens. Nothing if that can't be had.
    pub(super) async fn renew(&mut self) -> Option<Session> {
        let account = self.account.as_mut()?;
        let email = account.email.clone();
        let tokens = match account.refresh.take() {
            Some(refresh) => self.exchange(refresh).await,
            None => None,
        };
        let tokens = match tokens {
            Some(tokens) => Ok(tokens),
            None => self.log_in(&email).await,
        };
        let account = self.account.as_mut()?;
        match tokens {
            Ok((access, refresh)) => {
                (account.access, account.refresh) = (access, Some(refresh));
                Some(Session::Open)
            }
            Err(NoTokens { refused: false, .. }) => None,
            Err(NoTokens { deed, .. }) => {
                if !account.leaving {
                    self.journal.complain(deed, "somebody whose account is there can't log in".to_owned());
                }
                Some(Session::Over)
            }
        }
    }

    /// Goes on with a token of a server whose clock is off.
    pub(super) fn skew(&mut self, role: Role) {
        let Some(account) = &mut self.account else { return };
        let user_id = account.user_id.parse().ok();
        if let Some(token) = user_id.and_then(|id| self.secret.skewed(id, role, &mut self.rng)) {
            account.access = token;
        }
    }

    /// Deletes the own account; whether it is gone.
    pub(super) async fn leave(&mut self) -> bool {
        let Some(account) = &mut self.account else { return false };
        account.leaving = true;
        let what = What::DeleteAccount { user_id: account.user_id.clone() };
        let Some(wanted) = self.ask(what, &Request::delete("/api/users/me")).await else { return false };
        match wanted.reply.status {
            // 401: an earlier try had done it.
            204 | 401 => true,
            _ => {
                self.complain(&wanted, "the account is not deleted");
                false
            }
        }
    }

    async fn register(&mut self, email: &str, name: &str) -> Option<String> {
        let body = json!({ "email": email, "password": PASSWORD, "name": name });
        let what = What::Register { email: email.to_owned() };
        let wanted = self.ask_openly(what, Request::post("/api/users", body)).await?;
        match wanted.reply.status {
            201 => {
                let ours = wanted.reply.body["email"] == email && wanted.reply.body["name"] == name;
                if !ours {
                    self.complain(&wanted, "another account than was asked for");
                }
                wanted.reply.text("user_id")
            }
            // An earlier try had done it, and only the token says under which id.
            409 if self.was_unknown(&wanted) => {
                let (token, _) = self.log_in(email).await.ok()?;
                token.subject()
            }
            _ => {
                self.complain(&wanted, "no account");
                None
            }
        }
    }

    async fn promote(&mut self, user_id: &str) -> Option<()> {
        let request = Request::put(format!("/api/users/{user_id}/role"), json!({ "role": "admin" }))
            .with(API_KEY, self.secret.api_key.clone());
        let what = What::MakeAdmin { user_id: user_id.to_owned() };
        let wanted = self.ask_openly(what, request).await?;
        if wanted.reply.status == 200 {
            return Some(());
        }
        self.complain(&wanted, "no admin");
        None
    }

    async fn log_in(&mut self, email: &str) -> Result<(Token, String), NoTokens> {
        let body = json!({ "email": email, "password": PASSWORD });
        let deed = self.begin(What::LogIn { email: email.to_owned() });
        let reply = self.insist(&deed, &Request::post("/api/users/login", body), None).await;
        let refused = reply.as_ref().is_some_and(|reply| reply.status == 401);
        reply.as_ref().and_then(tokens_of).ok_or(NoTokens { deed: deed.number, refused })
    }

    /// Exchanges a refresh token. If an earlier try was carried out and nobody heard of it, the session is lost, as the
    /// shop says.
    async fn exchange(&mut self, refresh: String) -> Option<(Token, String)> {
        let request = Request::post("/api/users/token/refresh", json!({ "refresh_token": refresh }));
        let wanted = self.ask_openly(What::Refresh, request).await?;
        if wanted.reply.status != 200 && !self.was_unknown(&wanted) && !self.is_leaving() {
            self.complain(&wanted, "a session that is there can't be refreshed");
        }
        tokens_of(&wanted.reply)
    }

    /// Whether the own account may be gone.
    pub(super) fn is_leaving(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.leaving)
    }

    /// Whether an earlier try may have been carried out although nobody was told so.
    pub(super) fn was_unknown(&self, wanted: &Wanted) -> bool {
        self.journal.was_unknown(wanted.deed)
    }

    fn begin(&self, what: What) -> Deed {
        let worth_keeping =
            !matches!(what, What::LogIn { .. } | What::Refresh | What::Browse | What::ListOrders);
        Deed { number: self.journal.begin(self.number, what), began: Instant::now(), worth_keeping }
    }

    /// Sends a request until it is answered by something else than a failure.
    async fn insist(&mut self, deed: &Deed, request: &Request, token: Option<&Token>) -> Option<Reply> {
        let mut pause = FIRST_PAUSE;
        loop {
            let tried = Try::make(&self.client, request, token).await;
            let asked_to_wait = match self.note(deed, tried) {
                Ok(reply) => return Some(reply),
                Err(wait) => wait,
            };
            let wait = pause.mul_f64(self.rng.random()) + asked_to_wait;
            if deed.began.elapsed() + wait > PATIENCE {
                return None;
            }
            sleep(wait).await;
            pause = LAST_PAUSE.min(pause * 2);
        }
    }

    /// Writes down what came of a try. If that is a failure: for how long to wait at least, as the shop says.
    fn note(&self, deed: &Deed, tried: Try<'_>) -> Result<Reply, Duration> {
        let Try { token, at, took, reply } = tried;
        let outcome = match &reply {
            Ok(Reply { status, etag, body, request_id, .. }) => {
                let body = if deed.worth_keeping || *status >= 400 { body.clone() } else { json!(null) };
                let (etag, request_id) = (etag.clone(), request_id.clone());
                Outcome::Answer { status: *status, etag, body, request_id }
            }
            Err(error) => Outcome::NoAnswer(error.clone()),
        };
        let failed = outcome.is_failure();
        let skewed = token.is_some_and(|token| token.skewed);
        self.journal.tried(deed.number, Attempt { at, took, skewed, outcome });
        match reply {
            Ok(reply) if failed => Err(reply.retry_after.unwrap_or_default()),
            Ok(reply) => {
                if let Some(token) = token {
                    self.check_token(deed, token.verdict(at, took), reply.status);
                }
                Ok(reply)
            }
            Err(_) => Err(Duration::ZERO),
        }
    }

    fn check_token(&self, deed: &Deed, verdict: Verdict, status: u16) {
        let wrong = match verdict {
            Verdict::Refuse => status != 401,
            // The token of an account that is gone is worth nothing where that is looked up.
            Verdict::Accept => status == 401 && !self.is_leaving(),
            Verdict::Either => false,
        };
        if wrong {
            self.journal.complain(deed.number, format!("{status} for a token to {verdict:?}"));
        }
    }
}

/// One try of a deed.
struct Try<'a> {
    token: Option<&'a Token>,
    at: SystemTime,
    took: Duration,
    reply: Result<Reply, String>,
}

impl<'a> Try<'a> {
    async fn make(client: &ApiClient, request: &Request, token: Option<&'a Token>) -> Self {
        let (at, started) = (SystemTime::now(), Instant::now());
        let reply = client.send(request, token.map(|token| token.text.as_str())).await;
        Self { token, at, took: started.elapsed(), reply }
    }
}

/// The answer to something that was wanted.
pub(super) struct Wanted {
    deed: usize,
    pub(super) reply: Reply,
}

/// What became of a session.
#[derive(PartialEq, Eq)]
pub(super) enum Session {
    Open,
    /// With the account.
    Over,
}

/// Why there are no tokens.
struct NoTokens {
    deed: usize,
    /// The shop says that e-mail address and password don't belong together.
    refused: bool,
}

fn tokens_of(reply: &Reply) -> Option<(Token, String)> {
    Some((Token::issued(reply.text("access_token")?), reply.text("refresh_token")?))
}
