//! The lines of a module, as the DWARF in its custom sections has them.
//!
//! WebAssembly's DWARF counts from the beginning of the code section's contents. What cannot be
//! read is not there: a module may have anything in its custom sections.

use addr2line::Context;
use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use bls_artifact::debug::{LINES_MAX, Line, Place};

/// Where the operators of a module are in its source.
pub(super) struct Lines<'a> {
    context: Option<Context<EndianSlice<'a, LittleEndian>>>,
    /// Where the contents of the code section begin.
    code: u32,
}

impl<'a> Lines<'a> {
    /// Those that these custom sections have.
    pub(super) fn of(sections: &[(&str, &'a [u8])], code: u32) -> Self {
        let section = |id: SectionId| {
            let found = sections.iter().find(|(name, _)| *name == id.name());
            Ok::<_, addr2line::gimli::Error>(EndianSlice::new(
                found.map_or(&[], |(_, bytes)| *bytes),
                LittleEndian,
            ))
        };
        let has_any = sections.iter().any(|(name, _)| *name == SectionId::DebugInfo.name());
        let dwarf = has_any.then(|| Dwarf::load(section).ok()).flatten();
        Self { context: dwarf.and_then(|dwarf| Context::from_dwarf(dwarf).ok()), code }
    }

    /// Where an operator is, by where it begins in the module: what was inlined first.
    pub(super) fn at(&self, operator: u32) -> Place {
        let mut place = Place::new();
        let (Some(context), Some(at)) = (&self.context, operator.checked_sub(self.code)) else {
            return place;
        };
        let Ok(mut frames) = context.find_frames(at.into()).skip_all_loads() else { return place };
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.as_ref();
            place.push(Line {
                function: name.map(std::borrow::Cow::into_owned),
                file: location.and_then(|location| location.file).map(str::to_owned),
                line: location.and_then(|location| location.line).unwrap_or(0),
                column: location.and_then(|location| location.column).unwrap_or(0),
            });
            if place.len() == LINES_MAX {
                break;
            }
        }
        place
    }
}
