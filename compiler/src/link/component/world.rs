//! What a component imports and exports, by the names at its border.

use wasmparser::{ComponentExternalKind, Parser, Payload};

/// The longest text of a world; what does not fit is left out.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The names at the border of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct World {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl World {
    /// A line for each name, imports first: `import wasi:io/streams@0.2.6`.
    pub(super) fn to_text(&self) -> String {
        let imports = self.imports.iter().map(|name| ("import", name));
        let exports = self.exports.iter().map(|name| ("export", name));
        let mut text = String::new();
        for (verb, name) in imports.chain(exports) {
            let line = format!("{verb} {}", name.escape_default());
            if text.len() + line.len() >= TEXT_BYTES_MAX {
                break;
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text += &line;
        }
        text
    }
}

/// The world of a component; what can be read of it, where it is damaged.
pub(super) fn world(component: &[u8]) -> World {
    let mut world = World::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else { break };
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 1 => {
                let names = imports.into_iter().flatten().map(|import| import.name.name.to_owned());
                world.imports.extend(names);
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                let exports = exports.into_iter().flatten();
                let exports = exports.filter(|one| one.kind != ComponentExternalKind::Type);
                world.exports.extend(exports.map(|export| export.name.name.to_owned()));
            }
            _ => {}
        }
    }
    world
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_what_stands_at_the_border() {
        let component = wat::parse_str(
            r#"(component
                (import "wasi:cli/stdin@0.2.0" (instance (export "x" (func))))
                (component (import "inner" (func)) (export "y" (func 0)))
                (core module $m (func (export "f")))
                (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f")))
                (export "f" (func $f)))"#,
        )
        .unwrap();
        assert_eq!(world(&component).to_text(), "import wasi:cli/stdin@0.2.0\nexport f");
        assert_eq!(world(&component[..9]).to_text(), "");
    }
}
