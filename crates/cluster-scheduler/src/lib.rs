//! The scheduler service.

pub mod db;
