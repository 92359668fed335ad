//! The messages of a hostile peer: a recorded conversation, changed as the input decides.

use crate::conversation::{Conversation, Message};
use crate::input::Input;
use crate::wire::{any_message, field, rename, set_field};

/// The most messages that a peer sends.
const MAX_MESSAGES: usize = 10_000;

/// How often a message may be repeated, with other ids: far more often than a chain of calls may be long.
const MAX_REPEATS: usize = 4000;

/// How a peer behaves.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) messages: Vec<Message>,
    pub(crate) reads_nothing: bool,
}

impl Script {
    /// Returns a conversation with the changes that the input decides.
    pub(crate) fn of(
        conversation: &Conversation,
        others: &[Conversation],
        input: &mut Input<'_>,
    ) -> Self {
        let mut legal = conversation.messages.iter().cloned();
        let mut script = Self::default();
        while !input.is_empty() && script.messages.len() < MAX_MESSAGES {
            script.add(&mut legal, others, input);
        }
        script.messages.extend(legal);
        script
    }

    /// Puts another text in place of one of the same length.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        for message in &mut self.messages {
            rename(&mut message.bytes, from, to);
        }
    }

    fn add(
        &mut self,
        legal: &mut impl Iterator<Item = Message>,
        others: &[Conversation],
        input: &mut Input<'_>,
    ) {
        let op = input.byte();
        match op % 14 {
            // Twice as likely, because it leads to the interesting messages.
            0 | 1 => {
                let count = usize::from(input.byte() & 31);
                self.messages.extend(legal.take(count));
            }
            2 => drop(legal.next()),
            3 => {
                let next = legal.next();
                self.messages.extend(next.iter().chain(&next).cloned());
            }
            4 => self.change(legal, |bytes| {
                let at = usize::from(input.u16()) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= input.byte();
                }
            }),
            5 => self.change(legal, |bytes| {
                let index = usize::from(input.byte() & 7);
                set_field(bytes, index, input.id());
            }),
            6 => self.change(legal, |bytes| {
                let at = 8 * (usize::from(input.byte()) % (bytes.len() / 8).max(1));
                if let Some(word) = bytes.get_mut(at..at + 8) {
                    word.copy_from_slice(&input.u64().to_le_bytes());
                }
            }),
            7 => {
                let (first, second) = (legal.next(), legal.next());
                self.messages.extend(second.into_iter().chain(first));
            }
            8 => self.change(legal, |bytes| {
                bytes.truncate(usize::from(input.u16()) % (bytes.len() + 1));
            }),
            9 | 10 => {
                let near = self
                    .messages
                    .last()
                    .map_or(&[][..], |message| &message.bytes);
                let bytes = any_message(input, near);
                self.send(bytes);
            }
            11 => {
                let other = input.byte();
                if let Some(other) = others.get(usize::from(other) % others.len().max(1))
                    && let messages = &other.messages
                    && let Some(message) =
                        messages.get(usize::from(input.byte()) % messages.len().max(1))
                {
                    self.send(message.bytes.clone());
                }
            }
            12 => self.repeat(input),
            _ => match op {
                13 => self.reads_nothing = true,
                _ => self.send(input.piece(64).to_vec()),
            },
        }
    }

    fn change(
        &mut self,
        legal: &mut impl Iterator<Item = Message>,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(mut message) = legal.next() {
            change(&mut message.bytes);
            self.messages.push(message);
        }
    }

    fn send(&mut self, bytes: Vec<u8>) {
        let after = self.messages.last().map_or(0, |message| message.after);
        self.messages.push(Message { bytes, after });
    }

    /// Repeats the last messages, with increasing values of their first number and, for some inputs, of another one.
    fn repeat(&mut self, input: &mut Input<'_>) {
        let count = (1 + usize::from(input.byte() & 3)).min(self.messages.len());
        let times = usize::from(input.byte());
        // A few times, or very often.
        let times = if times < 128 {
            times
        } else {
            (times << 5).min(MAX_REPEATS)
        };
        let other = usize::from(input.byte());
        let repeated = self.messages.split_off(self.messages.len() - count);
        for time in 0..=times {
            let step = u32::try_from(time).unwrap_or_default();
            for message in &repeated {
                let mut message = message.clone();
                for index in [0, other] {
                    // The numbers after a message's own are those of what it points to, such as a target's question.
                    if index < 64 {
                        let value = field(&message.bytes, index).wrapping_add(step);
                        set_field(&mut message.bytes, index, value);
                    }
                }
                self.messages.push(message);
            }
        }
    }
}
