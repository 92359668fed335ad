//! Checks of all addresses at which the scheduler of a cap file may be: which one leads, and what the others do.

use std::time::Duration;

use cli::capability_args::AlsoArgs;
use vat::{Address, ConnectError, DialOptions, Dialer, Session, SturdyRef};

use super::cap_files::judge_connection;
use super::check::Check;

/// What has answered at each address.
pub(super) struct Schedulers<S = Session>(Vec<Dialled<S>>);

/// An address that was dialled.
struct Dialled<S> {
    address: Address,
    /// The address, and the IP address if its name has several.
    place: String,
    reached: Result<S, ConnectError>,
}

impl Schedulers {
    /// Connects to all addresses, as a worker or client does, with shorter time limits.
    pub(super) async fn dial(target: &SturdyRef, also: &AlsoArgs) -> Self {
        let options = DialOptions {
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            also: also.also.clone(),
            ..DialOptions::default()
        };
        let dialled = Dialer::new(options).connect_to_each(target).await;
        let each = dialled
            .into_iter()
            .map(|(address, place, reached)| Dialled {
                address,
                place,
                reached,
            });
        Self(each.collect())
    }

    /// Returns the connection to the one that leads.
    pub(super) fn leader(&self) -> Option<&Session> {
        self.0
            .iter()
            .find_map(|dialled| dialled.reached.as_ref().ok())
    }
}

impl<S> Schedulers<S> {
    /// Judges each address. One that stands alone has the check that it always had.
    pub(super) fn judge(&self, name: &str) -> Vec<Check> {
        let addresses = self.shown();
        let leads = addresses.iter().any(|dialled| dialled.reached.is_ok());
        if let [dialled] = addresses[..] {
            let reached = dialled.reached.as_ref().map(drop);
            return vec![judge_connection(name, &dialled.address, reached)];
        }
        let each = addresses.iter().map(|dialled| judge(name, dialled, leads));
        let mut checks: Vec<_> = each.collect();
        if !leads {
            checks.push(Check::problem(
                name,
                "no scheduler leads",
                "start the schedulers, and see their logs; /readyz of each says what it waits for",
            ));
        }
        checks
    }

    /// Returns what tells people something. An address whose name has several IP addresses is often that of one
    /// scheduler, which listens at some of them ("localhost").
    fn shown(&self) -> Vec<&Dialled<S>> {
        let mut shown: Vec<&Dialled<S>> = Vec::new();
        for dialled in &self.0 {
            let is_of_same = |other: &Dialled<S>| other.address == dialled.address;
            let leads = self
                .0
                .iter()
                .any(|other| is_of_same(other) && other.reached.is_ok());
            let is_refused = matches!(dialled.reached, Err(ConnectError::Refused { .. }));
            let is_repeated = is_refused
                && shown.iter().any(|other| {
                    is_of_same(other) && matches!(other.reached, Err(ConnectError::Refused { .. }))
                });
            if !(is_refused && leads || is_repeated) {
                shown.push(dialled);
            }
        }
        shown
    }
}

/// Judges one of several addresses. `leads`: a scheduler leads at one of them.
fn judge<S>(name: &str, dialled: &Dialled<S>, leads: bool) -> Check {
    let Dialled { place, reached, .. } = dialled;
    match reached {
        Ok(_) => Check::fit(
            name,
            format!("the scheduler at {place} leads, and knows this secret"),
        ),
        Err(ConnectError::Refused { .. }) => Check::skipped(
            name,
            format!("{place} refuses connections: a standby, or no scheduler"),
        ),
        Err(ConnectError::TimedOut { .. }) if leads => Check::warning(
            name,
            format!("no answer from {place} while connecting"),
            "check whether that machine is on, and the network and firewalls between here and there",
        ),
        Err(ConnectError::Silent { phase, .. }) if leads => Check::warning(
            name,
            format!("{place} accepts connections, but does not respond: no answer {phase}"),
            "check that this is a scheduler's port, and whether that scheduler is stopped",
        ),
        Err(ConnectError::WrongFingerprint { expected, got, .. }) if leads => Check::problem(
            name,
            format!("{place} has another key than the leader: expected {expected}, got {got}"),
            "correct the address, or give that scheduler the key.pem of the others",
        ),
        Err(error) => judge_connection(name, place, Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::doctor::testing::folded_text;

    fn at(host: &str, reached: Result<(), ConnectError>) -> Dialled<()> {
        let address = Address::tcp(host, 9000);
        Dialled {
            place: address.to_string(),
            address,
            reached,
        }
    }

    fn refused(host: &str) -> Dialled<()> {
        let address = Address::tcp(host, 9000);
        at(host, Err(ConnectError::Refused { address }))
    }

    fn silent(host: &str) -> Dialled<()> {
        let address = Address::tcp(host, 9000);
        let phase = vat::Phase::Handshake;
        let seconds = 10.0;
        at(
            host,
            Err(ConnectError::Silent {
                address,
                phase,
                seconds,
            }),
        )
    }

    fn stranger(host: &str) -> Dialled<()> {
        let key = "-SBUAVO3kpNiXzKuZGmXTWvPNaLMrWZ7VQpXiJKLMn8";
        let address = Address::tcp(host, 9000);
        let (expected, got) = (key.parse().unwrap(), key.parse().unwrap());
        at(
            host,
            Err(ConnectError::WrongFingerprint {
                address,
                expected,
                got,
            }),
        )
    }

    #[test]
    fn each_address_has_its_state() {
        let with_leader = Schedulers(vec![
            at("one", Ok(())),
            refused("two"),
            silent("three"),
            stranger("four"),
        ]);
        let without = Schedulers(vec![refused("one"), silent("two")]);
        let mut checks = with_leader.judge("scheduler");
        checks.extend(without.judge("scheduler"));
        expect![[r#"
            ok       scheduler  the scheduler at tcp:one:9000 leads, and knows this secret
            skipped  scheduler  tcp:two:9000 refuses connections: a standby, or no scheduler
            warning  scheduler  tcp:three:9000 accepts connections, but does not respond: no answer to the TLS \
                handshake
                     -> check that this is a scheduler's port, and whether that scheduler is stopped
            problem  scheduler  tcp:four:9000 has another key than the leader: expected \
                -SBUAVO3kpNiXzKuZGmXTWvPNaLMrWZ7VQpXiJKLMn8, got -SBUAVO3kpNiXzKuZGmXTWvPNaLMrWZ7VQpXiJKLMn8
                     -> correct the address, or give that scheduler the key.pem of the others
            skipped  scheduler  tcp:one:9000 refuses connections: a standby, or no scheduler
            problem  scheduler  tcp:two:9000 accepts connections, but does not respond: no answer to the TLS \
                handshake
                     -> check that this is the scheduler's port, and that the scheduler is not stopped
            problem  scheduler  no scheduler leads
                     -> start the schedulers, and see their logs; /readyz of each says what it waits for

            3 problems, 1 warning.
        "#]].assert_eq(&folded_text(&checks));
    }

    #[test]
    fn a_scheduler_at_one_of_the_addresses_of_its_name_is_one() {
        let localhost = |reached| {
            let mut dialled = at("localhost", reached);
            dialled.place += " (::1)";
            dialled
        };
        let refusal = || {
            let address = Address::tcp("localhost", 9000);
            Err(ConnectError::Refused { address })
        };
        for (one, other) in [(refusal(), Ok(())), (refusal(), refusal())] {
            let expected = judge_connection("s", "tcp:localhost:9000", other.as_ref().copied());
            let checks = Schedulers(vec![localhost(one), localhost(other)]).judge("s");
            assert_eq!(folded_text(&checks), folded_text(&[expected]));
        }
    }
}
