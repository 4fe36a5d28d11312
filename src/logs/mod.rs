//! Bytes on disk (or in the journal) to blocks of lines, with offsets that survive a restart.
