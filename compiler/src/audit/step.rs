//! What a metered function does, one thing after another: what is consumed, where
//! control goes, and the texts that were injected.
//!
//! Says nothing of whether it is right; [`super::idiom`] makes steps,
//! [`super::calls`] and [`super::flow`] follow them.

/// What a loop begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Neither of these.
    Plain,
    /// A check.
    Checked,
    /// A load, then a check.
    Reloaded,
}

/// What opens a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Block,
    Loop(Header),
    If,
}

/// One thing that a function does. Depths count labels from the innermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Operators that consume so much.
    Run(i64),
    Open(Opening),
    Else,
    End,
    /// A catch of the frame that opens next leads there.
    Catch(u32),
    /// Control may go there, or on.
    Branch(u32),
    /// Control does not go on: it has branched.
    Stop,
    /// The guest traps.
    Trap,
    /// The guest may trap, having consumed this much.
    MayTrap,
    Return,
    Throw,
    Call(u32),
    CallIndirect,
    TailCall(u32),
    TailCallIndirect,
    /// An operator whose length nobody paid for.
    Free,
    Load,
    Store(i64),
    Charge(i64),
    Direct(i64),
    /// Control goes there when the local counter is below so much.
    Check(u32, i64),
    /// A length is paid for and checked.
    Length(u32),
    OutOfFuel,
}

impl Step {
    /// Whether control never goes on behind it.
    pub(super) fn ends(self) -> bool {
        matches!(
            self,
            Self::Stop
                | Self::Trap
                | Self::Return
                | Self::Throw
                | Self::TailCall(_)
                | Self::TailCallIndirect
                | Self::OutOfFuel
        )
    }
}
