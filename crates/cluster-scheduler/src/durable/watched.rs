//! A value that can be watched, and seldom is.

use std::cell::RefCell;

use tokio::sync::watch;

/// A value with a channel for those who watch it, which takes half a KiB and exists only while somebody does.
pub(super) struct Watched<T>(RefCell<Slot<T>>);

enum Slot<T> {
    Unwatched(T),
    Watched(Box<watch::Sender<T>>),
}

impl<T: Clone> Watched<T> {
    pub(super) fn new(value: T) -> Self {
        Self(RefCell::new(Slot::Unwatched(value)))
    }

    /// Returns the value.
    pub(super) fn get(&self) -> T {
        match &*self.0.borrow() {
            Slot::Watched(sender) => sender.borrow().clone(),
            Slot::Unwatched(value) => value.clone(),
        }
    }

    /// Returns a receiver that sees the value, and each later one.
    pub(super) fn subscribe(&self) -> watch::Receiver<T> {
        let slot = &mut *self.0.borrow_mut();
        match slot {
            Slot::Watched(sender) => sender.subscribe(),
            Slot::Unwatched(value) => {
                let (sender, receiver) = watch::channel(value.clone());
                *slot = Slot::Watched(Box::new(sender));
                receiver
            }
        }
    }

    pub(super) fn send_replace(&self, value: T) {
        self.send_modify(|current| *current = value);
    }

    pub(super) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        match &mut *self.0.borrow_mut() {
            Slot::Watched(sender) => sender.send_modify(modify),
            Slot::Unwatched(value) => modify(value),
        }
    }

    /// Changes the value, and wakes those who watch it if that returns `true`.
    pub(super) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) {
        match &mut *self.0.borrow_mut() {
            Slot::Watched(sender) => {
                sender.send_if_modified(modify);
            }
            Slot::Unwatched(value) => {
                modify(value);
            }
        }
    }

    /// Drops the channel if nobody watches any more.
    pub(super) fn settle(&self) {
        let slot = &mut *self.0.borrow_mut();
        if let Slot::Watched(sender) = slot
            && sender.receiver_count() == 0
        {
            let value = sender.borrow().clone();
            *slot = Slot::Unwatched(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_channel_only_while_the_value_is_watched() {
        let watched = Watched::new(1);
        let has_channel = || matches!(&*watched.0.borrow(), Slot::Watched(_));
        watched.send_replace(2);
        assert!(!has_channel());
        let (one, other) = (watched.subscribe(), watched.subscribe());
        watched.send_modify(|value| *value += 1);
        assert_eq!((*one.borrow(), *other.borrow()), (3, 3));
        drop(one);
        watched.settle();
        assert!(has_channel());
        drop(other);
        watched.settle();
        assert!(!has_channel());
        assert_eq!(*watched.subscribe().borrow(), 3);
    }
}
