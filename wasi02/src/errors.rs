//! Errors of preview 1 in the words of `wasi:filesystem`.

use crate::guest::Caller;
use crate::handles;
use crate::objects::{self, Kind};
use crate::preview1::Errno;

/// `wasi:filesystem/types.error-code`, in its order.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Code {
    Access,
    WouldBlock,
    Already,
    BadDescriptor,
    Busy,
    Deadlock,
    Quota,
    Exist,
    FileTooLarge,
    IllegalByteSequence,
    InProgress,
    Interrupted,
    Invalid,
    Io,
    IsDirectory,
    Loop,
    TooManyLinks,
    MessageSize,
    NameTooLong,
    NoDevice,
    NoEntry,
    NoLock,
    InsufficientMemory,
    InsufficientSpace,
    NotDirectory,
    NotEmpty,
    NotRecoverable,
    Unsupported,
    NoTty,
    NoSuchDevice,
    Overflow,
    NotPermitted,
    Pipe,
    ReadOnly,
    InvalidSeek,
    TextFileBusy,
    CrossDevice,
}

impl Code {
    pub(crate) fn of(errno: Errno) -> Self {
        match errno {
            2 => Self::Access,
            6 => Self::WouldBlock,
            7 => Self::Already,
            8 => Self::BadDescriptor,
            10 => Self::Busy,
            16 => Self::Deadlock,
            19 => Self::Quota,
            20 => Self::Exist,
            22 => Self::FileTooLarge,
            25 => Self::IllegalByteSequence,
            26 => Self::InProgress,
            27 => Self::Interrupted,
            28 => Self::Invalid,
            31 => Self::IsDirectory,
            32 => Self::Loop,
            34 => Self::TooManyLinks,
            35 => Self::MessageSize,
            37 => Self::NameTooLong,
            43 => Self::NoDevice,
            44 => Self::NoEntry,
            46 => Self::NoLock,
            48 => Self::InsufficientMemory,
            51 => Self::InsufficientSpace,
            52 | 58 => Self::Unsupported,
            54 => Self::NotDirectory,
            55 => Self::NotEmpty,
            56 => Self::NotRecoverable,
            59 => Self::NoTty,
            60 => Self::NoSuchDevice,
            61 => Self::Overflow,
            63 | 76 => Self::NotPermitted,
            64 => Self::Pipe,
            69 => Self::ReadOnly,
            70 => Self::InvalidSeek,
            74 => Self::TextFileBusy,
            75 => Self::CrossDevice,
            _ => Self::Io,
        }
    }

    /// Its word.
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::WouldBlock => "would-block",
            Self::Already => "already",
            Self::BadDescriptor => "bad-descriptor",
            Self::Busy => "busy",
            Self::Deadlock => "deadlock",
            Self::Quota => "quota",
            Self::Exist => "exist",
            Self::FileTooLarge => "file-too-large",
            Self::IllegalByteSequence => "illegal-byte-sequence",
            Self::InProgress => "in-progress",
            Self::Interrupted => "interrupted",
            Self::Invalid => "invalid",
            Self::Io => "io",
            Self::IsDirectory => "is-directory",
            Self::Loop => "loop",
            Self::TooManyLinks => "too-many-links",
            Self::MessageSize => "message-size",
            Self::NameTooLong => "name-too-long",
            Self::NoDevice => "no-device",
            Self::NoEntry => "no-entry",
            Self::NoLock => "no-lock",
            Self::InsufficientMemory => "insufficient-memory",
            Self::InsufficientSpace => "insufficient-space",
            Self::NotDirectory => "not-directory",
            Self::NotEmpty => "not-empty",
            Self::NotRecoverable => "not-recoverable",
            Self::Unsupported => "unsupported",
            Self::NoTty => "no-tty",
            Self::NoSuchDevice => "no-such-device",
            Self::Overflow => "overflow",
            Self::NotPermitted => "not-permitted",
            Self::Pipe => "pipe",
            Self::ReadOnly => "read-only",
            Self::InvalidSeek => "invalid-seek",
            Self::TextFileBusy => "text-file-busy",
            Self::CrossDevice => "cross-device",
        }
    }
}

#[unsafe(export_name = "wasi:io/error#[method]error.to-debug-string")]
extern "C" fn to_debug_string(caller: Caller, this: u32, to: u32) {
    let code = objects::error_code(handles::rep_of(caller, Kind::Error, this));
    let text = caller.give_text(code.name());
    caller.record(to, 4, &crate::guest::Record::<8>::new().list(0, text));
}

#[unsafe(export_name = "wasi:filesystem/types#filesystem-error-code")]
extern "C" fn filesystem_error_code(caller: Caller, error: u32, to: u32) {
    let code = objects::error_code(handles::rep_of(caller, Kind::Error, error));
    caller.record(to, 1, &crate::guest::Record::<2>::new().u8(0, 1).u8(1, code as u8));
}
