use deserr::Deserr;
use problem_details::{InputErrors, InvalidValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Priced;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Deserr, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[deserr(error = InputErrors, try_from(String) = Status::try_from -> InvalidValue)]
#[schema(as = OrderStatus)]
pub(crate) enum Status {
    /// Waits for its stock.
    Pending,
    /// Has its stock; the total is fixed.
    Confirmed,
    /// Could not be supplied, or not in time.
    Rejected,
    /// Called off before it was shipped.
    Cancelled,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
}

/// What can be asked of an order, by whichever trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Its stock is taken.
    Confirm(Priced),
    /// It can't be supplied, for this reason.
    Reject(String),
    /// Its time to be confirmed is over.
    Expire,
    /// Somebody calls it off.
    Cancel(Canceller),
    /// Its customer is gone.
    CloseAccount,
    /// It leaves.
    Ship,
    /// It has arrived.
    Deliver,
}

/// Who calls an order off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Canceller {
    Customer,
    Shop,
}

/// The answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The order gets this status.
    Become(Status),
    /// Nothing to do: it has happened already, or came too late to matter.
    Done,
    /// Not from this status.
    Refuse,
}

/// What a command means for an order of this status.
///
/// Messages are never refused, because they report what did happen and come repeatedly and in any sequence: the first
/// outcome of a pending order wins and stays. What people ask for is refused where it contradicts the status.
pub(crate) fn decide(status: Status, command: &Command) -> Decision {
    use Command::{Cancel, CloseAccount, Confirm, Deliver, Expire, Reject, Ship};
    use Status::{Cancelled, Confirmed, Delivered, Pending, Rejected, Shipped};
    match (command, status) {
        (Confirm(_), Pending) => Decision::Become(Confirmed),
        (Reject(_) | Expire, Pending) => Decision::Become(Rejected),
        (Cancel(_) | CloseAccount, Pending | Confirmed) => Decision::Become(Cancelled),
        (Ship, Confirmed) => Decision::Become(Shipped),
        (Deliver, Shipped) => Decision::Become(Delivered),
        (Confirm(_) | Reject(_) | Expire | CloseAccount, _) => Decision::Done,
        (Cancel(_), Cancelled) | (Ship, Shipped) | (Deliver, Delivered) => Decision::Done,
        (Cancel(_) | Ship | Deliver, _) => Decision::Refuse,
    }
}

impl Status {
    pub(crate) const ALL: [Self; 6] =
        [Self::Pending, Self::Confirmed, Self::Rejected, Self::Cancelled, Self::Shipped, Self::Delivered];

    /// Its name in requests, answers and rows.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Confirmed => "CONFIRMED",
            Self::Rejected => "REJECTED",
            Self::Cancelled => "CANCELLED",
            Self::Shipped => "SHIPPED",
            Self::Delivered => "DELIVERED",
        }
    }
}

impl TryFrom<String> for Status {
    type Error = InvalidValue;

    fn try_from(name: String) -> Result<Self, InvalidValue> {
        let message = "must be one of PENDING, CONFIRMED, REJECTED, CANCELLED, SHIPPED, DELIVERED";
        Self::ALL.into_iter().find(|status| status.name() == name).ok_or(InvalidValue::new(message))
    }
}

impl Command {
    /// The statuses in which an order changes at this command.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Status> {
        Status::ALL.into_iter().filter(|status| matches!(decide(*status, self), Decision::Become(_)))
    }

    /// The status that an order gets if it changes.
    pub(crate) fn target(&self) -> Status {
        match self {
            Self::Confirm(_) => Status::Confirmed,
            Self::Reject(_) | Self::Expire => Status::Rejected,
            Self::Cancel(_) | Self::CloseAccount => Status::Cancelled,
            Self::Ship => Status::Shipped,
            Self::Deliver => Status::Delivered,
        }
    }

    /// How the wait for stock ends by it, if it is an answer to that wait.
    pub(crate) fn outcome(&self) -> Option<&'static str> {
        match self {
            Self::Confirm(_) => Some("confirmed"),
            Self::Reject(_) => Some("rejected"),
            Self::Expire => Some("timed_out"),
            Self::Cancel(_) | Self::CloseAccount | Self::Ship | Self::Deliver => None,
        }
    }

    /// Why the order ends here, where it does.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Reject(reason) => Some(reason),
            Self::Expire => Some("timed_out"),
            Self::Cancel(Canceller::Customer) => Some("cancelled_by_customer"),
            Self::Cancel(Canceller::Shop) => Some("cancelled_by_shop"),
            Self::CloseAccount => Some("account_deleted"),
            Self::Confirm(_) | Self::Ship | Self::Deliver => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain_events::{Currency, Money};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Line, Quantity};

    fn confirm() -> Command {
        let unit_price = Some(Money { amount: 1, currency: Currency::try_from("EUR".to_owned()).unwrap() });
        let line = Line::new(uuid::Uuid::nil(), Quantity::try_from(1).unwrap());
        Command::Confirm(Priced::new(vec![Line { unit_price, ..line }]).unwrap())
    }

    fn reject() -> Command {
        Command::Reject("out_of_stock".to_owned())
    }

    fn any_command() -> impl Strategy<Value = Command> {
        use Command::{Cancel, CloseAccount, Deliver, Expire, Ship};
        prop::sample::select(vec![
            confirm(),
            reject(),
            Expire,
            Cancel(Canceller::Customer),
            Cancel(Canceller::Shop),
            CloseAccount,
            Ship,
            Deliver,
        ])
    }

    /// The status after each command.
    fn run(commands: &[Command]) -> Vec<Status> {
        let step = |status: &mut Status, command: &Command| {
            if let Decision::Become(next) = decide(*status, command) {
                *status = next;
            }
            Some(*status)
        };
        commands.iter().scan(Status::Pending, step).collect()
    }

    fn last(commands: &[Command]) -> Status {
        run(commands).last().copied().unwrap_or(Status::Pending)
    }

    #[test]
    fn a_command_leads_where_it_says() {
        let commands = [
            confirm(),
            reject(),
            Command::Expire,
            Command::Cancel(Canceller::Shop),
            Command::CloseAccount,
            Command::Ship,
            Command::Deliver,
        ];
        for command in commands {
            assert!(command.changes().count() > 0, "{command:?}");
            for status in Status::ALL {
                if let Decision::Become(next) = decide(status, &command) {
                    assert_eq!(next, command.target());
                }
            }
            // What answers the wait for stock changes an order that waits, and no other.
            assert_eq!(command.outcome().is_some(), command.changes().eq([Status::Pending]), "{command:?}");
            // A repetition of what has just happened is never refused.
            assert_eq!(decide(command.target(), &command), Decision::Done, "{command:?}");
        }
    }

    #[test]
    fn a_status_has_one_name_everywhere() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
            assert_eq!(Status::try_from(status.name().to_owned()), Ok(status));
        }
        assert!(Status::try_from("pending".to_owned()).is_err());
    }

    proptest! {
        #[test]
        fn an_outcome_repeated_any_number_of_times_is_one_outcome(times in 1..6usize, reserved: bool) {
            let (outcome, end) =
                if reserved { (confirm(), Status::Confirmed) } else { (reject(), Status::Rejected) };
            prop_assert_eq!(run(&vec![outcome; times]), vec![end; times]);
        }

        #[test]
        fn any_interleaving_and_repetition_of_outcome_and_deadline_ends_as_the_first_of_them(
            reserved: bool,
            deadlines in prop::collection::vec(any::<bool>(), 1..8),
        ) {
            let outcome = if reserved { confirm() } else { reject() };
            let event = |deadline: &bool| if *deadline { Command::Expire } else { outcome.clone() };
            let events: Vec<Command> = deadlines.iter().map(event).collect();
            let statuses = run(&events);
            prop_assert_eq!(statuses[0], events[0].target());
            prop_assert!(statuses.iter().all(|status| *status == statuses[0]), "{:?}", statuses);
        }

        #[test]
        fn repeating_any_command_at_once_changes_nothing(
            commands in prop::collection::vec(any_command(), 0..12),
            at in any::<prop::sample::Index>(),
        ) {
            prop_assume!(!commands.is_empty());
            let at = at.index(commands.len());
            let mut repeated = commands.clone();
            repeated.insert(at, commands[at].clone());
            prop_assert_eq!(last(&repeated), last(&commands));
        }

        #[test]
        fn messages_that_come_again_later_change_nothing(
            commands in prop::collection::vec(any_command(), 1..12),
            again in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
        ) {
            let again = again.index(commands.len());
            let message = commands[again].clone();
            prop_assume!(matches!(message, Command::Confirm(_) | Command::Reject(_) | Command::Expire));
            let mut repeated = commands.clone();
            repeated.insert(again + 1 + at.index(commands.len() - again), message);
            prop_assert_eq!(last(&repeated), last(&commands));
        }

        #[test]
        fn an_end_stays_an_end(
            before in prop::collection::vec(any_command(), 0..8),
            after in prop::collection::vec(any_command(), 0..8),
        ) {
            let end = last(&before);
            prop_assume!(matches!(end, Status::Rejected | Status::Cancelled | Status::Delivered));
            let all: Vec<Command> = before.into_iter().chain(after).collect();
            prop_assert_eq!(last(&all), end);
        }

        #[test]
        fn nothing_is_cancelled_once_it_is_shipped(commands in prop::collection::vec(any_command(), 0..16)) {
            let statuses = run(&commands);
            let shipped = statuses.iter().position(|status| *status == Status::Shipped);
            let rest = shipped.map_or(&[][..], |at| &statuses[at..]);
            prop_assert!(rest.iter().all(|status| matches!(status, Status::Shipped | Status::Delivered)));
        }
    }
}
