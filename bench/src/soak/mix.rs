use anyhow::{Result, ensure};

use crate::{
    store::{PUBLISHED, Store},
    targets::{Job, Program, parsed},
    workload::Workload,
};

/// What a service is called with, again and again in this order. Every way into it is there.
pub(super) fn calls(program: Program) -> &'static [Call] {
    match program {
        Program::UserService => &USERS,
        Program::ProductService => &PRODUCTS,
        _ => &ORDERS,
    }
}

/// A call, and what is right for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    /// As in the benchmark.
    Job(Job),
    /// A request that reads, with a path.
    Read(&'static str, &'static str),
    /// A request for the order that is known to be there.
    ReadOrder,
    /// A request for a product that nobody orders, so that it is never at the version that the sample knows.
    ReadProduct,
    /// So many messages like a sample's.
    Queue(&'static str, usize),
    /// So many messages like a sample's, each about another pending order.
    PendingOrders(&'static str, usize),
    /// So many records like one of a sample's, which is at this position.
    Stream(&'static str, usize, usize),
}

const USERS: [Call; 10] = [
    Call::Read("read-own-account", "/api/users/me"),
    Call::Job(Job::Login),
    Call::Read("list-users", "/api/users"),
    Call::Stream("user-changes", 1, 1),
    Call::Read("read-own-account", "/api/users/me"),
    Call::Job(Job::Register),
    Call::Queue("avatars-to-erase", 1),
    Call::Stream("user-changes", 1, 10),
    Call::Read("read-own-account", "/api/users/me"),
    Call::Queue("avatars-to-erase", 10),
];

const PRODUCTS: [Call; 10] = [
    Call::ReadProduct,
    Call::Job(Job::StockRequests(1)),
    Call::Job(Job::ListProducts),
    Call::Stream("product-changes", 0, 1),
    Call::ReadProduct,
    Call::Job(Job::StockRequests(10)),
    Call::Read("list-category", "/api/products"),
    Call::Stream("reservation-changes", 0, 10),
    Call::ReadProduct,
    Call::Stream("product-changes", 0, 10),
];

const ORDERS: [Call; 10] = [
    Call::Job(Job::PlaceOrder),
    Call::ReadOrder,
    Call::Job(Job::OrderProcessing(1)),
    Call::Job(Job::OrderChanges(1)),
    Call::Read("list-orders", "/api/orders"),
    Call::Job(Job::PlaceOrder),
    Call::Job(Job::OrderProcessing(10)),
    Call::Job(Job::OrderChanges(10)),
    Call::PendingOrders("order-deadline", 1),
    Call::PendingOrders("order-deadline", 10),
];

impl Call {
    /// The event, with everything in the store that it needs.
    pub(super) fn event(
        self,
        program: Program,
        workload: &mut Workload,
        store: &mut Store,
    ) -> Result<String> {
        let service = program.name();
        Ok(match self {
            Self::Job(job) => workload.events(job, 1, store)?.remove(0),
            Self::Read(sample, path) => workload.read(service, sample, path, &[])?,
            Self::ReadOrder => {
                let id = workload.order()["order_id"]["S"].as_str().unwrap_or_default().to_owned();
                workload.read(service, "read-order", &format!("/api/orders/{id}"), &[])?
            }
            Self::ReadProduct => {
                let id = workload.products().last().cloned().unwrap_or_default();
                workload.read(service, "get-product", &format!("/api/products/{id}"), &[])?
            }
            Self::Queue(sample, messages) => {
                workload.batch(service, sample, messages, |_, _, _| {})?.to_string()
            }
            Self::PendingOrders(sample, messages) => {
                workload.about_pending_orders(sample, messages, store)?.to_string()
            }
            Self::Stream(sample, record, records) => {
                workload.changes(service, sample, record, records, |_| {})?.to_string()
            }
        })
    }

    /// An error unless this is the right answer.
    pub(super) fn check(self, answer: &str) -> Result<()> {
        match self {
            Self::Job(job) => job.check(answer),
            Self::Read(..) | Self::ReadOrder | Self::ReadProduct => {
                ensure!(parsed(answer)["statusCode"] == 200, "expected status 200, got {answer}");
                Ok(())
            }
            Self::Queue(..) | Self::PendingOrders(..) | Self::Stream(..) => {
                let failures = &parsed(answer)["batchItemFailures"];
                ensure!(
                    failures.as_array().is_some_and(Vec::is_empty),
                    "expected no failed item, got {answer}"
                );
                Ok(())
            }
        }
    }

    /// By which way it comes in.
    pub(super) fn way(self) -> &'static str {
        match self {
            Self::Job(Job::StockRequests(_) | Job::OrderProcessing(_))
            | Self::Queue(..)
            | Self::PendingOrders(..) => "queue",
            Self::Job(Job::OrderChanges(_)) | Self::Stream(..) => "stream",
            Self::Job(_) | Self::Read(..) | Self::ReadOrder | Self::ReadProduct => "HTTP",
        }
    }

    /// Events that it makes its function publish.
    pub(super) fn published(self) -> u64 {
        match self {
            Self::Job(job) => job.published().try_into().unwrap_or_default(),
            Self::Stream(_, _, records) => records.try_into().unwrap_or_default(),
            _ => 0,
        }
    }
}

/// How many events were published until now.
pub(super) fn published(store: &mut Store) -> Result<u64> {
    Ok(store.calls()?.get(PUBLISHED).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_service_is_called_in_every_way() {
        for program in [Program::UserService, Program::ProductService, Program::OrderService] {
            let ways: BTreeSet<&str> = calls(program).iter().map(|call| call.way()).collect();
            assert_eq!(ways, BTreeSet::from(["HTTP", "queue", "stream"]), "{}", program.name());
        }
    }
}
