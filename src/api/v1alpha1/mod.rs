//! Group `gaoler.dev`, version `v1alpha1`.
