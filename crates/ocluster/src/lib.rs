//! The OCluster command lines.
