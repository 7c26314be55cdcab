//! The world of a component: what it imports and exports, with all types, as WIT has it.
//!
//! Made by the crates that `wasm-tools component wit` is made of, and shown to people; nothing
//! else depends on it. May assume nothing about the bytes. A text of a stranger's may be in it,
//! such as what stands beside a type for its readers.

use std::fmt;
use wit_component::{WitPrinter, decode};

/// Why a component's world is no WIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoWorld(String);

impl fmt::Display for NoWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what it imports and exports is no WIT: {}", self.0)
    }
}

impl NoWorld {
    /// Its name, which stays the same when words change.
    pub(crate) fn code(&self) -> &'static str {
        "inspect.world"
    }

    /// What a user can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        "bls-compile check says whether it is valid, and the names of what it imports and exports"
    }
}

/// The world of a component, and the packages that it takes interfaces from.
pub(crate) fn wit(component: &[u8]) -> Result<String, NoWorld> {
    let decoded = decode(component).map_err(|error| NoWorld(format!("{error:#}")))?;
    let (resolve, package) = (decoded.resolve(), decoded.package());
    let others: Vec<_> =
        resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != package).collect();
    let mut printer = WitPrinter::default();
    let printed = printer.print(resolve, package, &others);
    printed.map_err(|error| NoWorld(format!("{error:#}")))?;
    Ok(printer.output.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_has_types() {
        let component = wat::parse_str(
            r#"(component
                (import "example:math/types@1.0.0" (instance
                  (type $point (record (field "x" s32) (field "y" s32)))
                  (export "point" (type (eq $point)))))
                (core module $m (func (export "add") (param i32 i32) (result i32)
                  (i32.add (local.get 0) (local.get 1))))
                (core instance $i (instantiate $m))
                (func (export "add") (param "a" s32) (param "b" s32) (result s32)
                  (canon lift (core func $i "add"))))"#,
        );
        let text = wit(&component.unwrap()).unwrap();
        for line in [
            "package root:component;",
            "  import example:math/types@1.0.0;",
            "  export add: func(a: s32, b: s32) -> s32;",
            "package example:math@1.0.0 {",
            "    record point {",
        ] {
            assert!(text.lines().any(|one| one.starts_with(line)), "{line}: {text}");
        }
        let refused = wit(b"\0asm\x0d\0\x01\0\xff").unwrap_err();
        assert!(refused.to_string().contains("is no WIT"), "{refused}");
    }
}
