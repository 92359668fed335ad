//! Readers of lists that limit their length, and of fields that some programs write as `null`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Annotations, MAX_ELEMENTS, OURS, REF_NAME};

/// Reads something that some programs write as `null`.
pub(super) fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a list, which may be `null`, of at most [`MAX_ELEMENTS`].
pub(crate) fn few<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(Few(PhantomData))
}

struct Few<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_ELEMENTS} elements")
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut few = Vec::new();
        while let Some(element) = elements.next_element()? {
            if few.len() == MAX_ELEMENTS {
                return Err(A::Error::invalid_length(MAX_ELEMENTS + 1, &self));
            }
            few.push(element);
        }
        Ok(few)
    }
}

/// Reads the annotations that are in use, and skips all others.
pub(super) fn annotations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Annotations, D::Error> {
    deserializer.deserialize_any(Known)
}

struct Known;

impl<'de> Visitor<'de> for Known {
    type Value = Annotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations")
    }

    fn visit_unit<E>(self) -> Result<Annotations, E> {
        Ok(Annotations::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Annotations, A::Error> {
        let mut known = Annotations::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key == REF_NAME || OURS.contains(&key.as_str()) {
                known.insert(key, entries.next_value()?);
            } else {
                let IgnoredAny = entries.next_value()?;
            }
        }
        Ok(known)
    }
}
