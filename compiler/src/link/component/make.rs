//! The functions that hold a component together, as words: `glue` makes their code.

use super::flat::Ours;

/// A function that is made here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Make {
    Ours(Ours),
    /// Of a table of handles its instance, its type, and whether that instance defines it.
    InstanceOf,
    TypeOf,
    IsDefiner,
    /// The caller's memory and allocator.
    Read,
    Write,
    Realloc,
    Start,
}

impl Make {
    /// What it is called in the linked module.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Ours(Ours::Import(import)) => format!("{}#{}", import.interface, import.function),
            Self::Ours(Ours::New(..)) => "component::resource.new".to_owned(),
            Self::Ours(Ours::Rep(..)) => "component::resource.rep".to_owned(),
            Self::Ours(Ours::Drop(..)) => "component::resource.drop".to_owned(),
            Self::Ours(Ours::TransferOwn) => "component::transfer-own".to_owned(),
            Self::Ours(Ours::TransferBorrow) => "component::transfer-borrow".to_owned(),
            Self::Ours(Ours::Enter) => "component::enter".to_owned(),
            Self::Ours(Ours::Exit) => "component::exit".to_owned(),
            Self::Ours(Ours::Trap) => "component::trap".to_owned(),
            Self::Ours(Ours::Transcode(name, ..)) => format!("component::{name}"),
            Self::InstanceOf => "component::instance-of".to_owned(),
            Self::TypeOf => "component::type-of".to_owned(),
            Self::IsDefiner => "component::is-definer".to_owned(),
            Self::Read => "component::read".to_owned(),
            Self::Write => "component::write".to_owned(),
            Self::Realloc => "component::realloc".to_owned(),
            Self::Start => "_start".to_owned(),
        }
    }
}
