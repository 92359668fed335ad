//! What a peer says that begins as a legal one: a recorded conversation, with changes that the input asks for.

use crate::conversation::Conversation;
use crate::input::Input;
use crate::wire::{any_message, field, set_field};

/// The most messages that a peer says.
const LONGEST: usize = 10_000;

/// How often a message may be said again, with other ids: far more often than a chain of calls may be long.
const REPEATS: usize = 4000;

/// Something that a peer says, after it has heard this many messages (or waited for them in vain).
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    pub(crate) after: usize,
}

/// How a peer behaves.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) lines: Vec<Line>,
    /// It reads nothing.
    pub(crate) is_deaf: bool,
}

impl Script {
    /// Returns what the input makes of a conversation.
    pub(crate) fn of(
        conversation: &Conversation,
        others: &[Conversation],
        input: &mut Input<'_>,
    ) -> Self {
        let mut legal = conversation.lines.iter().cloned();
        let mut script = Self::default();
        while !input.is_empty() && script.lines.len() < LONGEST {
            script.add(&mut legal, others, input);
        }
        script.lines.extend(legal);
        script
    }

    fn add(
        &mut self,
        legal: &mut impl Iterator<Item = Line>,
        others: &[Conversation],
        input: &mut Input<'_>,
    ) {
        let op = input.byte();
        match op % 14 {
            // So that a number leads to where something happens.
            0 | 1 => {
                let count = usize::from(input.byte() & 31);
                self.lines.extend(legal.take(count));
            }
            2 => drop(legal.next()),
            3 => {
                let next = legal.next();
                self.lines.extend(next.iter().chain(&next).cloned());
            }
            4 => self.changed(legal, |bytes| {
                let at = usize::from(input.u16()) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= input.byte();
                }
            }),
            5 => self.changed(legal, |bytes| {
                let index = usize::from(input.byte() & 7);
                set_field(bytes, index, input.id());
            }),
            6 => self.changed(legal, |bytes| {
                let at = 8 * (usize::from(input.byte()) % (bytes.len() / 8).max(1));
                if let Some(word) = bytes.get_mut(at..at + 8) {
                    word.copy_from_slice(&input.u64().to_le_bytes());
                }
            }),
            7 => {
                let (first, second) = (legal.next(), legal.next());
                self.lines.extend(second.into_iter().chain(first));
            }
            8 => self.changed(legal, |bytes| {
                bytes.truncate(usize::from(input.u16()) % (bytes.len() + 1));
            }),
            9 | 10 => {
                let near = self.lines.last().map_or(&[][..], |line| &line.bytes);
                let bytes = any_message(input, near);
                self.say(bytes);
            }
            11 => {
                let other = input.byte();
                if let Some(lines) = others.get(usize::from(other) % others.len().max(1))
                    && let Some(line) = lines
                        .lines
                        .get(usize::from(input.byte()) % lines.lines.len().max(1))
                {
                    self.say(line.bytes.clone());
                }
            }
            12 => self.repeat(input),
            _ => match op {
                13 => self.is_deaf = true,
                _ => self.say(input.piece(64).to_vec()),
            },
        }
    }

    fn changed(
        &mut self,
        legal: &mut impl Iterator<Item = Line>,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(mut line) = legal.next() {
            change(&mut line.bytes);
            self.lines.push(line);
        }
    }

    fn say(&mut self, bytes: Vec<u8>) {
        let after = self.lines.last().map_or(0, |line| line.after);
        self.lines.push(Line { bytes, after });
    }

    /// Says the last messages again and again, their first numbers (and with some inputs another one) going up.
    fn repeat(&mut self, input: &mut Input<'_>) {
        let count = (1 + usize::from(input.byte() & 3)).min(self.lines.len());
        let times = usize::from(input.byte());
        // A few times, or very often.
        let times = if times < 128 {
            times
        } else {
            (times << 5).min(REPEATS)
        };
        let other = usize::from(input.byte());
        let repeated = self.lines.split_off(self.lines.len() - count);
        for time in 0..=times {
            let step = u32::try_from(time).unwrap_or_default();
            for line in &repeated {
                let mut line = line.clone();
                for index in [0, other] {
                    // Beyond a message's own numbers are those of what it points to, such as a target's question.
                    if index < 64 {
                        let value = field(&line.bytes, index).wrapping_add(step);
                        set_field(&mut line.bytes, index, value);
                    }
                }
                self.lines.push(line);
            }
        }
    }
}
