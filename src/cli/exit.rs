//! What the process answers to its caller.

use std::process::ExitCode;

/// Exit codes, as `gaoler --help` documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done; the answer is yes.
    Success,
    /// The answer is no, or problems were found.
    Negative,
    /// Wrong usage, or an error that kept the command from its work.
    Failure,
    /// Nobody answers: on the control socket, or the API server.
    NotRunning,
}

impl ExitStatus {
    /// [`Self::Success`] when `positive`, else [`Self::Negative`].
    #[must_use]
    pub fn from_answer(positive: bool) -> Self {
        if positive { Self::Success } else { Self::Negative }
    }

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Negative => 1,
            Self::Failure => 2,
            Self::NotRunning => 3,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
