//! The `gaoler` binary.

fn main() {}
