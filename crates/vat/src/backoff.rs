//! When to try again after a connection was lost, or could not be made.

use std::time::Duration;

/// Decides how long to wait before the next attempt to connect.
///
/// A plain value: the caller passes the time and the chance. After a connection that had lasted, the first wait is
/// short, and different for each peer, so that the peers of a restarted server do not all arrive at once. The next ones
/// grow, but not at once: a cluster with several schedulers has another leader after a few seconds, and so has one whose
/// scheduler was restarted. A peer that was refused waits for the longest time, as another attempt is unlikely to help.
#[derive(Clone, Debug)]
pub struct Backoff {
    longest: Duration,
    /// The upper limit of the next wait.
    limit: Duration,
    /// For how long waits do not grow yet.
    failover: Duration,
}

/// Why another attempt is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The connection was lost.
    Lost,
    /// No connection could be made.
    NotConnected,
    /// The peer answers, and refuses. It takes a person to change that.
    Refused,
}

impl Backoff {
    /// The longest wait of a worker or a client: upstream's workers always wait for so long.
    pub const LONGEST: Duration = Duration::from_secs(10);

    /// The upper limit of the first wait: a server is restarted in about this time, and answers the peers of a large
    /// cluster in it.
    const FIRST: Duration = Duration::from_secs(1);

    /// For how long waits do not grow after a connection that had lasted: three times as long as another scheduler needs
    /// to lead.
    const FAILOVER: Duration = Duration::from_secs(30);

    /// Returns a value whose waits grow to `longest`.
    pub fn new(longest: Duration) -> Self {
        Self {
            longest,
            limit: Self::FIRST.min(longest),
            failover: Duration::ZERO,
        }
    }

    /// Returns how long to wait before the next attempt. The latest one began `age` ago, with its connection if there
    /// was one. `chance` is random.
    pub fn next_wait(&mut self, failure: Failure, age: Duration, chance: u64) -> Duration {
        if failure == Failure::Lost && age >= self.longest {
            self.limit = Self::FIRST.min(self.longest);
            self.failover = Self::FAILOVER;
            return share(self.limit, chance);
        }
        let limit = self.limit;
        match failure == Failure::NotConnected && !self.failover.is_zero() {
            true => self.failover = self.failover.saturating_sub(limit.max(age)),
            false => self.limit = limit.saturating_mul(2).min(self.longest),
        }
        let wait = match failure {
            Failure::Refused => self.longest,
            Failure::Lost | Failure::NotConnected => limit / 2 + share(limit / 2, chance),
        };
        // The time that an attempt takes is not added to the wait.
        wait.saturating_sub(age)
    }
}

/// Returns a random part of `limit`.
fn share(limit: Duration, chance: u64) -> Duration {
    let permille = u32::try_from(chance % 1000).unwrap_or_default();
    limit * permille / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Chances that give the shortest and the longest wait.
    const BOTH: [u64; 2] = [0, 999];

    /// Returns a sequence of random numbers.
    fn chances(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    /// Returns the waits of a peer, in milliseconds, that loses a connection and then makes so many attempts in vain.
    fn waits(backoff: &mut Backoff, failed: usize, chance: u64) -> Vec<u128> {
        let lost = backoff.next_wait(Failure::Lost, 60 * SECOND, chance);
        let failed =
            (0..failed).map(|_| backoff.next_wait(Failure::NotConnected, Duration::ZERO, chance));
        let waits = std::iter::once(lost).chain(failed);
        waits.map(|wait| wait.as_millis()).collect()
    }

    #[test]
    fn the_first_wait_is_short_and_the_next_ones_grow_after_a_failover() {
        for (chance, first, next, grown) in [
            (0, 0, 500, [1000, 2000, 4000, 5000, 5000]),
            (999, 999, 999, [1999, 3998, 7996, 9995, 9995]),
        ] {
            let mut backoff = Backoff::new(Backoff::LONGEST);
            let all = waits(&mut backoff, 36, chance);
            assert_eq!(all[0], first);
            assert!(all[1..32].iter().all(|wait| *wait == next), "{all:?}");
            assert_eq!(all[32..], grown);
            let again = waits(&mut backoff, 1, chance);
            assert_eq!(again, [first, next]);
        }
    }

    #[test]
    fn without_a_connection_before_the_waits_grow_at_once() {
        let mut backoff = Backoff::new(Backoff::LONGEST);
        let waits = [(); 5].map(|()| {
            let wait = backoff.next_wait(Failure::NotConnected, Duration::ZERO, 0);
            wait.as_millis()
        });
        assert_eq!(waits, [500, 1000, 2000, 4000, 5000]);
    }

    #[test]
    fn another_leader_is_found_within_about_a_second() {
        for chance in BOTH {
            let mut backoff = Backoff::new(Backoff::LONGEST);
            let mut now = 0;
            let all = waits(&mut backoff, 12, chance);
            let attempts = all.iter().map(|wait| {
                now += wait;
                now
            });
            let attempts: Vec<_> = attempts.collect();
            let found = attempts.iter().find(|at| **at >= 6000);
            assert!(found.is_some_and(|at| *at <= 7000), "{attempts:?}");
        }
    }

    #[test]
    fn an_attempt_that_takes_long_shortens_the_wait() {
        let mut backoff = Backoff::new(Backoff::LONGEST);
        let mut wait = |age| backoff.next_wait(Failure::NotConnected, age * SECOND, 0);
        assert_eq!([wait(0), wait(10)], [SECOND / 2, Duration::ZERO]);
        // The waits grow all the same.
        assert_eq!(wait(1), SECOND);
    }

    #[test]
    fn a_peer_that_is_refused_waits_for_the_longest_time() {
        for chance in BOTH {
            let mut backoff = Backoff::new(Backoff::LONGEST);
            let mut wait = |age| backoff.next_wait(Failure::Refused, age, chance);
            assert_eq!(wait(Duration::ZERO), Backoff::LONGEST);
            assert_eq!(wait(SECOND), Backoff::LONGEST - SECOND);
        }
    }

    #[test]
    fn a_connection_that_is_lost_at_once_again_and_again_is_made_less_often() {
        let mut backoff = Backoff::new(Backoff::LONGEST);
        let mut chance = chances(1);
        let waits = [(); 20].map(|()| backoff.next_wait(Failure::Lost, SECOND / 10, chance()));
        assert!(
            waits[5..].iter().all(|wait| *wait >= 4 * SECOND),
            "{waits:?}"
        );
    }

    /// Three hundred peers lose their connections at once, and the server is back after some time.
    #[test]
    fn the_peers_of_a_restarted_server_do_not_arrive_at_once() {
        const PEERS: u64 = 300;
        for outage in [0, 2, 5, 60].map(|seconds| seconds * SECOND) {
            let mut attempts = Vec::new();
            let mut arrivals = Vec::new();
            for peer in 0..PEERS {
                let (mut backoff, mut chance) = (Backoff::new(Backoff::LONGEST), chances(peer));
                let mut now = backoff.next_wait(Failure::Lost, 60 * SECOND, chance());
                while now < outage {
                    attempts.push(now);
                    now += backoff.next_wait(Failure::NotConnected, Duration::ZERO, chance());
                }
                arrivals.push(now);
            }
            attempts.extend(&arrivals);
            for tenth in 0..700 {
                let from = tenth * SECOND / 10;
                let during = |at: &&Duration| (from..from + SECOND / 10).contains(*at);
                let count = attempts.iter().filter(during).count();
                assert!(count <= 75, "{count} attempts after {from:?}");
            }
            let last = arrivals.iter().max().map(|at| *at - outage);
            assert!(last <= Some(Backoff::LONGEST), "{outage:?}: {last:?}");
            // Those of a server that is back soon do not wait for so long.
            if outage <= 2 * SECOND {
                assert!(last <= Some(4 * SECOND), "{outage:?}: {last:?}");
            }
        }
    }
}
