use std::time::Duration;

use local_servers::Postgres;
use service_config::{SecretCache, Version, Versions};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;
use crate::repository::Repository;

/// A way to the server on which what is open can fall silent for good, as where a machine is gone without a word.
struct Way {
    port: u16,
    silent: watch::Sender<u32>,
}

impl Way {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (port, silent) = (listener.local_addr().unwrap().port(), watch::Sender::new(0));
        let silences = silent.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut silence = silences.subscribe();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = silence.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, silent }
    }

    /// Nothing comes through any more on what is open. New connections are as before.
    fn fall_silent(&self) {
        self.silent.send_modify(|silences| *silences += 1);
    }
}

fn fixed<T: serde::de::DeserializeOwned + Send + Sync + 'static>(value: T) -> SecretCache<T> {
    SecretCache::fixed(Versions { current: Version { id: "v1".to_owned(), value }, previous: None })
}

/// A database with the schema, and the way to it.
async fn on(server: &Postgres) -> (Database, Way) {
    server.set_password("reports", "a password").unwrap();
    server.create_database("reports", "reports").unwrap();
    let (host, port) = server.host_and_port();
    let way = Way::to(port).await;
    let place = Place::new(&host, way.port, "reports", "the secret of the password");
    let database = Database::new(fixed(place), fixed(Login::new("reports", "a password")), server.roots());
    Repository::new(database.clone()).migrate().await.unwrap();
    (database, way)
}

/// As many transactions as there can be at once.
async fn all(database: &Database) -> Vec<Transaction> {
    let mut transactions = Vec::new();
    for _ in 0..CONNECTIONS {
        transactions.push(database.write().await.unwrap());
    }
    transactions
}

/// The function's time is up while transactions wait for an answer: what they leave behind must not count as connections.
#[tokio::test]
async fn connections_that_fall_silent_in_mid_transaction_are_replaced() {
    let server = Postgres::start().unwrap();
    let (database, way) = on(&server).await;
    let open = all(&database).await;
    way.fall_silent();
    for mut transaction in open {
        let answer = sqlx::query("SELECT").execute(&mut *transaction);
        assert!(tokio::time::timeout(Duration::from_millis(50), answer).await.is_err());
    }
    all(&database).await;
}

#[tokio::test]
async fn connections_that_fall_silent_while_nobody_uses_them_are_replaced() {
    let server = Postgres::start().unwrap();
    let (database, way) = on(&server).await;
    for transaction in all(&database).await {
        transaction.commit().await.unwrap();
    }
    while database.0.pool.num_idle() < CONNECTIONS as usize {
        tokio::task::yield_now().await;
    }
    way.fall_silent();
    all(&database).await;
}
