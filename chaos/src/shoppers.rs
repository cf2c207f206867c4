use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    journal::Journal,
    plan::{Kind, Plan},
    world::World,
};

/// Those who run the shop.
mod admin;
/// HTTP.
mod client;
/// Those who buy.
mod customer;
/// What all of them know of the shop.
mod market;
/// What a customer knows of an order.
mod own_order;
/// What all of them can: insist, and keep a session.
mod person;
/// What admins ask of the reports.
mod report;
/// Access tokens, also those of a server whose clock is off.
mod token;

pub(crate) use client::{ApiClient, Reply, Request};
pub(crate) use report::days;
pub(crate) use token::Secret;

use admin::Admin;
use customer::Customer;
use market::Market;
use person::Person;

/// One of so many is an admin, and the first one.
const PEOPLE_PER_ADMIN: usize = 6;

/// Uses the shop for as long as the plan says, with so many people at once; ends when each of them is done with what
/// they wanted.
///
/// Everybody draws from a generator of their own. What they do is the same for one seed as far as they are answered the
/// same; who comes first to what is the machine's choice.
pub(crate) async fn run(
    world: &Arc<World>,
    journal: &Arc<Journal>,
    plan: &Arc<Plan>,
    shoppers: usize,
) -> Result<()> {
    let until = Instant::now() + plan.duration;
    let secret = Arc::new(Secret::read(world).await?);
    let market = Arc::new(Market::default());
    let person = |number| Person::new(number, plan.seed, &world.api, journal, &secret);
    let skewed_tokens = plan.has(Kind::TokenSkew);

    let mut people = JoinSet::new();
    for number in 0..shoppers {
        if number % PEOPLE_PER_ADMIN == 0 {
            people.spawn(Admin::new(person(number), &market, skewed_tokens).run(until));
        } else {
            people.spawn(Customer::new(person(number), &market, skewed_tokens).run(until));
        }
    }
    while let Some(ended) = people.join_next().await {
        ended.context("a shopper is gone")?;
    }
    ensure!(market.offers() > 0, "there was nothing to buy in this shop");
    Ok(())
}
