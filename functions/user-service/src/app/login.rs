use std::net::IpAddr;

use domain_events::Timestamp;

use super::{AccountError, Accounts, Tokens};
use crate::{
    domain::{Account, TooManyAttempts},
    password::{PasswordAttempt, PasswordHash},
    repository::{Beginning, CountError, Throttle},
};

impl Accounts {
    /// Opens a session for whoever knows the password of the account with this address.
    ///
    /// An address that is unknown, or none at all, costs the same calls and the same hashing as a wrong password: neither
    /// answer nor time tell who is a customer. Attempts are counted before they are made.
    pub(crate) async fn log_in(
        &self,
        email: String,
        source: Option<IpAddr>,
        attempt: &PasswordAttempt,
    ) -> Result<Tokens, AccountError> {
        let now = self.clock.now();
        let Beginning { owner, account: of_account, source } = self.throttles.at_login(email, source).await?;
        let throttles = [&of_account].into_iter().chain(&source);
        // Whoever is refused costs no more than this, and is not counted by the other of the two.
        let refusals = throttles.filter_map(|throttle| throttle.check(now).err());
        if let Some(longest) = refusals.max_by_key(|refusal| refusal.wait) {
            return Err(refused(longest));
        }
        let (of_account_counted, of_source_counted, account) = tokio::join!(
            self.count(Some(&of_account), now),
            self.count(source.as_ref(), now),
            self.users.get(owner.unwrap_or_default()),
        );
        if of_account_counted.is_err() || of_source_counted.is_err() || account.is_err() {
            // What is not looked at does not count, neither here nor there.
            tokio::join!(
                self.take_back(of_account_counted.is_ok().then_some(&of_account)),
                self.take_back(source.as_ref().filter(|_| of_source_counted.is_ok())),
            );
        }
        of_account_counted?;
        of_source_counted?;
        let account = account?;
        let hash =
            account.as_ref().map_or_else(PasswordHash::of_nobody, |account| account.password_hash.clone());
        let account = match (hash.matches(attempt).await?, account) {
            (true, Some(account)) => account,
            _ => return Err(AccountError::InvalidCredentials),
        };
        let ((), (), (), tokens) = tokio::join!(
            self.forgive(&of_account),
            self.take_back(source.as_ref()),
            self.renew_hash(&account, attempt),
            self.sessions.open(&account),
        );
        tokens
    }

    /// Whether the attempt is the account's password. It counts as one to log in: a stolen token must not be a way to
    /// guess faster.
    pub(super) async fn prove(
        &self,
        account: &Account,
        attempt: &PasswordAttempt,
    ) -> Result<(), AccountError> {
        let throttle = self.throttles.of_account(&account.user.email);
        self.count(Some(&throttle), self.clock.now()).await?;
        if !account.password_hash.matches(attempt).await? {
            return Err(AccountError::WrongPassword);
        }
        self.forgive(&throttle).await;
        Ok(())
    }

    async fn count(&self, throttle: Option<&Throttle>, now: Timestamp) -> Result<(), AccountError> {
        let Some(throttle) = throttle else { return Ok(()) };
        self.throttles.count(throttle, now).await.map_err(|error| match error {
            CountError::TooMany(too_many) => refused(too_many),
            CountError::Store(error) => error.into(),
        })
    }

    async fn forgive(&self, throttle: &Throttle) {
        telemetry::can_fail("forgetting failed attempts", self.throttles.forget(throttle).await);
    }

    async fn take_back(&self, throttle: Option<&Throttle>) {
        if let Some(throttle) = throttle {
            telemetry::can_fail("taking back an attempt", self.throttles.take_back(throttle).await);
        }
    }

    /// Brings the hash up to the parameters of today, which only the password itself can do.
    async fn renew_hash(&self, account: &Account, attempt: &PasswordAttempt) {
        let renewed = async {
            if let Some(hash) = account.password_hash.renewed(attempt).await? {
                self.users.renew_hash(account, &hash).await?;
            }
            Ok::<_, AccountError>(())
        };
        telemetry::can_fail("renewing the hash of a password", renewed.await);
    }
}

/// Says that somebody may be guessing; nothing of whom.
fn refused(TooManyAttempts { of, wait }: TooManyAttempts) -> AccountError {
    const EVENT: &str = "login_throttled";
    tracing::warn!(security_event = EVENT, of, wait_s = wait.as_secs(), "too many attempts to log in");
    telemetry::count("security_events", ("security_event", EVENT));
    AccountError::TooManyAttempts(wait)
}
