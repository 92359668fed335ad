//! Keys, TLS, sturdy refs and cap files: how capabilities are reached over a network.
