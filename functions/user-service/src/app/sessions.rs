use access_token::{AccessTokens, IssuedToken};
use domain_events::{Clock, Timestamp};
use dynamodb_store::StoreError;
use uuid::Uuid;

use super::{AccountError, TRIES, ever_changing};
use crate::{
    domain::{self, Account, Presented, Session, SessionId},
    refresh_token::RefreshToken,
    repository::{Outcome, Users},
};

/// What can be done with sessions.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    users: Users,
    tokens: AccessTokens,
    clock: Clock,
}

/// What a login and each refresh give. It has no `Debug`, so that it can't be logged by accident.
pub(crate) struct Tokens {
    pub(crate) access: IssuedToken,
    /// Good for one refresh.
    pub(crate) refresh_token: String,
    /// Seconds until the session ends, if it isn't used before.
    pub(crate) refresh_expires_in: i64,
}

impl Sessions {
    pub(crate) fn new(users: Users, tokens: AccessTokens, clock: Clock) -> Self {
        Self { users, tokens, clock }
    }

    /// Opens a session for somebody who proved to own the account as it is given here. If its password is being changed
    /// meanwhile, the session is over as soon as it is open.
    pub(crate) async fn open(&self, account: &Account) -> Result<Tokens, AccountError> {
        let (user_id, now) = (account.user.user_id, self.clock.now());
        let token = RefreshToken::new(user_id)?;
        let session = Session::opened(token.hash(), account.credentials, now);
        let tokens = self.tokens(account, &token, &session, now)?;
        let sessions = self.users.open_session(user_id, token.session_id, &session).await?;
        let removed = self.remove_surplus(account, sessions).await;
        telemetry::can_fail("removing sessions that are over or too many", removed);
        Ok(tokens)
    }

    /// Exchanges a refresh token for the next one, and for an access token that says what the account is by now.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, AccountError> {
        let token = RefreshToken::parse(token).ok_or(AccountError::InvalidRefreshToken)?;
        let RefreshToken { user_id, session_id, .. } = token;
        let (account, mut sessions) = self.users.with_sessions(user_id).await?;
        let account = account.ok_or(AccountError::InvalidRefreshToken)?;
        let next = token.next()?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let session = sessions.by_id.get(&session_id).ok_or(AccountError::InvalidRefreshToken)?;
            let after = match session.presented(&token.hash(), next.hash(), account.credentials, now) {
                Presented::Good(after) => after,
                Presented::Superseded => return Err(AccountError::RefreshTokenSuperseded),
                Presented::Over => return Err(AccountError::InvalidRefreshToken),
                Presented::Reused => {
                    self.end_stolen(user_id, session_id).await?;
                    return Err(AccountError::InvalidRefreshToken);
                }
            };
            let tokens = self.tokens(&account, &next, &after, now)?;
            let over = sessions.over(account.credentials, now);
            match self.users.refresh_session(user_id, &sessions, session_id, &after, &over).await? {
                Outcome::Written => return Ok(tokens),
                Outcome::Overtaken(present) => sessions = present,
            }
        }
        Err(ever_changing())
    }

    /// Ends the session of a refresh token. To name a session takes one of its tokens, so that no more is asked for.
    pub(crate) async fn end(&self, token: &str) -> Result<(), AccountError> {
        match RefreshToken::parse(token) {
            Some(token) => Ok(self.users.end_session(token.user_id, token.session_id).await?),
            None => Ok(()),
        }
    }

    /// Ends all sessions of a user.
    pub(crate) async fn end_all(&self, user_id: Uuid) -> Result<(), AccountError> {
        Ok(self.users.end_sessions(user_id).await?)
    }

    /// Two have tokens of the session, and nobody can tell which of them is its owner.
    async fn end_stolen(&self, user_id: Uuid, session_id: SessionId) -> Result<(), StoreError> {
        const EVENT: &str = "refresh_token_reused";
        tracing::warn!(security_event = EVENT, %user_id, "a refresh token was used again; its session is ended");
        telemetry::count("security_events", ("security_event", EVENT));
        self.users.end_session(user_id, session_id).await
    }

    async fn remove_surplus(
        &self,
        account: &Account,
        mut sessions: domain::Sessions,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let surplus = sessions.surplus(account.credentials, self.clock.now());
            if surplus.is_empty() {
                break;
            }
            match self.users.remove_sessions(account.user.user_id, &sessions, &surplus).await? {
                Outcome::Written => break,
                Outcome::Overtaken(present) => sessions = present,
            }
        }
        Ok(())
    }

    fn tokens(
        &self,
        Account { user, .. }: &Account,
        token: &RefreshToken,
        session: &Session,
        now: Timestamp,
    ) -> Result<Tokens, AccountError> {
        Ok(Tokens {
            access: self.tokens.issue(user.user_id, user.role)?,
            refresh_token: token.to_text(),
            refresh_expires_in: session.ends_at.as_seconds() - now.as_seconds(),
        })
    }
}
