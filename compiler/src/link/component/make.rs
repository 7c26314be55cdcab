//! The functions that hold a component together, as words: `glue` makes their code.

use super::flat::Ours;

/// A function that is made here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Make {
    Ours(Box<Ours>),
    /// Of a table of handles its instance, its type, and whether that instance defines it.
    InstanceOf,
    TypeOf,
    IsDefiner,
    /// The caller's memory and allocator.
    Read,
    Write,
    Realloc,
    Start,
    /// What is called by its types, and what is said of it.
    Call,
    After,
    Description,
    DescriptionSize,
}

impl Make {
    /// What it is called in the linked module.
    pub(super) fn name(&self) -> String {
        let name = match self {
            Self::Ours(ours) => return ours_name(ours),
            Self::InstanceOf => "component::instance-of",
            Self::TypeOf => "component::type-of",
            Self::IsDefiner => "component::is-definer",
            Self::Read => "component::read",
            Self::Write => "component::write",
            Self::Realloc => "component::realloc",
            Self::Start => "_start",
            Self::Call => "component::call",
            Self::After => "component::after",
            Self::Description => "component::description",
            Self::DescriptionSize => "component::description-size",
        };
        name.to_owned()
    }
}

fn ours_name(ours: &Ours) -> String {
    let name = match ours {
        Ours::Import(import) => return format!("{}#{}", import.interface, import.function),
        Ours::Transcode(name, ..) => return format!("component::{name}"),
        Ours::New(..) => "component::resource.new",
        Ours::Rep(..) => "component::resource.rep",
        Ours::Drop(..) => "component::resource.drop",
        Ours::TransferOwn => "component::transfer-own",
        Ours::TransferBorrow => "component::transfer-borrow",
        Ours::Enter => "component::enter",
        Ours::Exit => "component::exit",
        Ours::Trap => "component::trap",
    };
    name.to_owned()
}
