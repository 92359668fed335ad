//! The wire types of OCluster, as typed handles and traits to serve them.
