//! Decides which worker does which job next.
