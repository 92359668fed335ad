//! What the web server has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of a web server, for metrics.
#[derive(Debug, Default)]
pub struct WebStats {
    answered: [AtomicU64; 5],
    connections: AtomicU64,
    refused_connections: AtomicU64,
    streams: AtomicU64,
    refused_streams: AtomicU64,
    wrong_secrets: AtomicU64,
    micros: AtomicU64,
}

/// One more in a number, until it is dropped.
pub(super) struct Counted<'a>(&'a AtomicU64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn get(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

fn add(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Relaxed);
}

impl WebStats {
    /// Returns how many requests were answered, by the first digit of the answer: 1 to 5.
    pub fn answered(&self) -> [u64; 5] {
        self.answered.each_ref().map(get)
    }

    /// Returns for how long requests were worked on in all, in microseconds.
    pub fn busy_micros(&self) -> u64 {
        get(&self.micros)
    }

    /// Returns how many connections there are.
    pub fn connections(&self) -> u64 {
        get(&self.connections)
    }

    /// Returns how many connections were refused, as there were too many.
    pub fn refused_connections(&self) -> u64 {
        get(&self.refused_connections)
    }

    /// Returns how many streams of events there are.
    pub fn streams(&self) -> u64 {
        get(&self.streams)
    }

    /// Returns how many streams of events were refused, as there were too many.
    pub fn refused_streams(&self) -> u64 {
        get(&self.refused_streams)
    }

    /// Returns how many secrets were wrong, or used before.
    pub fn wrong_secrets(&self) -> u64 {
        get(&self.wrong_secrets)
    }

    pub(super) fn add_answer(&self, status: u16, micros: u64) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(number) = self.answered.get(class) {
            add(number);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn add_connection(&self) -> Counted<'_> {
        add(&self.connections);
        Counted(&self.connections)
    }

    pub(super) fn add_refused_connection(&self) {
        add(&self.refused_connections);
    }

    pub(super) fn add_stream(&self) {
        add(&self.streams);
    }

    pub(super) fn end_stream(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn add_refused_stream(&self) {
        add(&self.refused_streams);
    }

    pub(super) fn add_wrong_secret(&self) {
        add(&self.wrong_secrets);
    }
}
