//! Lengths of time in templates.

/// A number of seconds, behind any number of references, as templates pass values.
pub(super) trait Seconds {
    /// Returns the number.
    fn seconds(&self) -> f64;
}

impl Seconds for f64 {
    fn seconds(&self) -> f64 {
        *self
    }
}

impl<T: Seconds + ?Sized> Seconds for &T {
    fn seconds(&self) -> f64 {
        T::seconds(self)
    }
}
