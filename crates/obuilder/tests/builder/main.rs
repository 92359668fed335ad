//! Stories of the builder among fakes.

mod contexts;
mod database;
mod failures;
mod health;
mod house;
mod ids;
mod mock_store;
mod mocks;
mod pins;
mod recorded;
mod recordings;
mod room;
mod script;
mod secrets;
mod sharing;
mod variants;
