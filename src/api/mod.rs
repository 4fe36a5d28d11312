//! The resources people write: the same types are the file format on a host and the custom resources in a cluster.

pub mod v1alpha1;
