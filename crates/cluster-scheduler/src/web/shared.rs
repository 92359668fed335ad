//! Values that many ask for at once, and that are computed for all of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pool::Time;
use tokio::sync::Mutex;

/// How long a value is shared.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Values by name, each computed at most once a second.
pub(super) struct Shared<T> {
    values: RefCell<BTreeMap<String, (Time, Arc<T>)>>,
    /// Held while a value is computed, so that those that come meanwhile wait for it instead of computing the same.
    turns: RefCell<BTreeMap<String, Rc<Mutex<()>>>>,
    /// How often values were forgotten.
    changes: Cell<u64>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self {
            values: RefCell::default(),
            turns: RefCell::default(),
            changes: Cell::default(),
        }
    }
}

impl<T> Shared<T> {
    /// Returns a value: one that was computed within the last second, or a new one.
    pub(super) async fn get<E>(
        &self,
        name: &str,
        now: impl Fn() -> Time,
        compute: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(value) = self.fresh(name, now()) {
            return Ok(value);
        }
        let turn = Rc::clone(self.turns.borrow_mut().entry(name.to_owned()).or_default());
        let _turn = turn.lock().await;
        // Another one may have had it computed meanwhile.
        if let Some(value) = self.fresh(name, now()) {
            return Ok(value);
        }
        let changes = self.changes.get();
        let value = Arc::new(compute().await?);
        // One from before a change is not for those that come after it.
        if changes == self.changes.get() {
            let computed = (now(), Arc::clone(&value));
            self.values.borrow_mut().insert(name.to_owned(), computed);
        }
        Ok(value)
    }

    /// Forgets all values, so that the next ones are those of now.
    pub(super) fn forget(&self) {
        self.changes.set(self.changes.get().wrapping_add(1));
        self.values.borrow_mut().clear();
    }

    fn fresh(&self, name: &str, now: Time) -> Option<Arc<T>> {
        let values = self.values.borrow();
        let (computed, value) = values.get(name)?;
        (now < *computed + MAX_AGE).then(|| Arc::clone(value))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use futures::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    /// Returns how often a value was computed that takes some turns to compute.
    async fn count(counted: &Cell<u32>) -> Result<u32, Infallible> {
        counted.set(counted.get() + 1);
        let count = counted.get();
        for _ in 0..5 {
            yield_now().await;
        }
        Ok(count)
    }

    #[tokio::test]
    async fn those_that_ask_at_once_get_the_same() {
        let (shared, counted) = (Shared::default(), Cell::new(0));
        let now = Cell::new(Time::from_secs(10));
        let get = || shared.get("a", || now.get(), async || count(&counted).await);
        let all = join_all((0..50).map(|_| get())).await;
        assert!(
            all.iter().all(|value| value.as_deref() == Ok(&1)),
            "{all:?}"
        );
        now.set(Time::from_secs(11));
        assert_eq!(get().await.as_deref(), Ok(&2));
        let other = shared.get("b", || now.get(), async || count(&counted).await);
        assert_eq!(other.await.as_deref(), Ok(&3));
    }

    #[tokio::test]
    async fn those_that_ask_after_a_change_get_what_was_computed_after_it() {
        let (shared, counted) = (Shared::default(), Cell::new(0));
        let get = || {
            let now = || Time::from_secs(10);
            shared.get("a", now, async || count(&counted).await)
        };
        let change_and_get = async {
            yield_now().await;
            shared.forget();
            get().await
        };
        let (before, after) = tokio::join!(get(), change_and_get);
        assert_eq!((before.as_deref(), after.as_deref()), (Ok(&1), Ok(&2)));
        assert_eq!(get().await.as_deref(), Ok(&2));
    }
}
