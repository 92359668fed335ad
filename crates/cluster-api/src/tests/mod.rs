//! Tests that need the generated types, which nobody outside can see.
