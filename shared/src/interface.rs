//! How a table of host functions is written down: the types of its rows, and what makes a list
//! of a table.
//!
//! For [`preview1`](crate::preview1) and [`blockless`](crate::blockless), which are such tables.
//! Holds no function itself.

use crate::capability::Capability;

/// A value of the calling convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
}

impl Kind {
    /// As a manifest spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }
}

/// A function of a table, as a module sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// The interface whose table it stands in: the name of a module it is imported from, and
    /// of snapshot 0's functions preview 1's.
    pub interface: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its parameters, those of a pair one by one.
    pub parameters: &'static [Kind],
    /// Whether it answers, with an errno or a code as `i32`; if not, it does not come back.
    pub answers: bool,
    /// What whoever imports it may use.
    pub may_use: &'static [Capability],
}

impl Function {
    /// Its type as a manifest spells it.
    #[must_use]
    pub fn ty(&self) -> String {
        let mut text = "func".to_owned();
        if !self.parameters.is_empty() {
            let names: Vec<&str> = self.parameters.iter().map(|kind| kind.name()).collect();
            text += &format!(" (param {})", names.join(" "));
        }
        if self.answers {
            text += " (result i32)";
        }
        text
    }
}

/// The values that parameters of the table are.
macro_rules! kinds {
    ([$($kind:ident)*]) => { &[$($crate::interface::Kind::$kind),*] };
    ([$($kind:ident)*] $name:ident: pair $pair:ident $(, $($rest:tt)*)?) => {
        $crate::interface::kinds!([$($kind)* I32 I32] $($($rest)*)?)
    };
    ([$($kind:ident)*] $name:ident: u32 $(, $($rest:tt)*)?) => {
        $crate::interface::kinds!([$($kind)* I32] $($($rest)*)?)
    };
    ([$($kind:ident)*] $name:ident: Pointer $(, $($rest:tt)*)?) => {
        $crate::interface::kinds!([$($kind)* I32] $($($rest)*)?)
    };
    ([$($kind:ident)*] $name:ident: u64 $(, $($rest:tt)*)?) => {
        $crate::interface::kinds!([$($kind)* I64] $($($rest)*)?)
    };
    ([$($kind:ident)*] $name:ident: i64 $(, $($rest:tt)*)?) => {
        $crate::interface::kinds!([$($kind)* I64] $($($rest)*)?)
    };
}

/// Whether a function with this result answers.
macro_rules! answers {
    (errno) => {
        true
    };
    (code) => {
        true
    };
    (never) => {
        false
    };
}

/// Makes a list of functions from a table.
macro_rules! functions {
    ($($interface:ident {
        $($name:ident($($parameters:tt)*) -> $result:ident,
            costs $price:expr, may_use [$($capability:ident),*];)*
    })*) => {
        /// Every function, in the order of the table.
        pub const FUNCTIONS: &[$crate::interface::Function] =
            &[$($($crate::interface::Function {
                interface: stringify!($interface),
                name: stringify!($name),
                parameters: $crate::interface::kinds!([] $($parameters)*),
                answers: $crate::interface::answers!($result),
                may_use: &[$($crate::capability::Capability::$capability),*],
            }),*),*];
    };
}

pub(crate) use {answers, functions, kinds};
