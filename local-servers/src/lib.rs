//! Redis and PostgreSQL for tests and for the local shop.
