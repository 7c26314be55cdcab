//! What a component imports and exports, by the names at its border.

use wasmparser::{ComponentExternalKind, Parser, Payload};

/// The names at the border of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

/// The world of a component; what can be read of it, where it is damaged.
#[must_use]
pub fn world(component: &[u8]) -> World {
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
