//! Reads netlink attributes out of the kernel's answers. Numbers of nf_tables are big-endian.

use netlink_packet_core::NlasIterator;

/// The attributes of one object.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// All of them, kind and value.
    pub(super) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let bytes = self.0;
        NlasIterator::new(bytes).map_while(Result::ok).map(|nla| {
            let (kind, end) = (nla.kind(), usize::from(nla.length()));
            (kind, nla.into_inner().get(4..end).unwrap_or_default())
        })
    }

    /// The value of the first of this kind.
    pub(super) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    pub(super) fn nested(self, kind: u16) -> Option<Self> {
        self.get(kind).map(Self)
    }

    pub(super) fn text(self, kind: u16) -> Option<String> {
        let bytes = self.get(kind)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned())
    }

    pub(super) fn u32(self, kind: u16) -> Option<u32> {
        self.get(kind)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(super) fn u64(self, kind: u16) -> Option<u64> {
        self.get(kind)?.try_into().ok().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_by_kind_and_the_flags_of_a_kind_do_not_matter() {
        let mut bytes = vec![10, 0, 1, 0];
        bytes.extend(b"table\0\0\0"); // six bytes and two of padding
        bytes.extend([8, 0, 2, 0x80, 0, 0, 1, 0]);
        let attributes = Attributes::new(&bytes);
        assert_eq!(attributes.text(1).as_deref(), Some("table"));
        assert_eq!(attributes.u32(2), Some(256));
        assert_eq!(attributes.u64(2), None);
        assert_eq!(attributes.get(3), None);
    }

    proptest! {
        #[test]
        fn nothing_a_kernel_could_send_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let attributes = Attributes::new(&bytes);
            prop_assert!(attributes.iter().count() <= bytes.len());
            let _ = attributes.nested(1).map(|inner| inner.iter().count());
            let _ = (attributes.text(1), attributes.u32(2), attributes.u64(3));
        }
    }
}
