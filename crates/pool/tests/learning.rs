//! What a pool makes of the times that jobs take, in simulated clusters: where jobs run, how clients share the workers,
//! and whether forecasts hold.

#[path = "learning/affinity.rs"]
mod affinity;
#[path = "learning/cluster.rs"]
mod cluster;
#[path = "learning/fairness.rs"]
mod fairness;
#[path = "learning/forecasts.rs"]
mod forecasts;
#[path = "simulate/random.rs"]
#[expect(dead_code, reason = "other suites use more of it")]
mod random;
