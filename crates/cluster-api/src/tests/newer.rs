//! Descriptions from clients that are newer than this program.
