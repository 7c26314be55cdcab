//! Several modules that become one program: what they are, and what their host imports are
//! called.
//!
//! A [`Recipe`] says which modules a linked artifact was made of, in order. Its text is an
//! extension of the manifest ([`EXTENSION`]) and its SHA-256 is the manifest's `source`, so that
//! whoever has the modules finds the artifact without linking them. [`host_module`] takes the
//! name of a host's module apart where it says for which memory a library calls. Does not link,
//! and reads no module.

use crate::digest::Sha256;
use crate::limits::{NAME_BYTES_MAX, RECIPE_MODULES_MAX};
use std::borrow::Cow;
use std::fmt;

/// The extension of a manifest that holds the text of the recipe.
pub const EXTENSION: &str = "linked-from";

/// The first line of a recipe's text.
const HEAD: &str = "bls-recipe 1";
/// What stands before a digest.
const DIGEST: &str = "sha256:";
/// What stands between the name of a host's module, or of a memory, and a number.
const MARK: char = '@';
/// What an entry is called that nobody named.
pub const ENTRY_NAME: &str = "entry";
/// The export that host functions work on.
pub const MEMORY_EXPORT: &str = "memory";
/// The function that a module exports which was made of a component's library: it takes and gives
/// nothing, and calls what argument 1 says: `add(1, 2)`.
pub const TYPED_CALL: &str = "bls:typed-call";

/// Why something is no recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipeError {
    /// A name that no module of a recipe can have.
    Name(String),
    /// Two modules of one name.
    Twice(String),
    /// More modules than [`RECIPE_MODULES_MAX`].
    TooMany(usize),
    /// A text that no recipe has: the number of its first line that is wrong.
    Text(usize),
}

impl fmt::Display for RecipeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                formatter,
                "{name:?} cannot be the name of a module: a name has 1 to {NAME_BYTES_MAX} bytes and no control characters"
            ),
            Self::Twice(name) => write!(formatter, "two modules have the name {name:?}"),
            Self::TooMany(count) => {
                write!(
                    formatter,
                    "{count} modules; at most {RECIPE_MODULES_MAX} become one program"
                )
            }
            Self::Text(line) => write!(formatter, "not a recipe: line {line} is not as it must be"),
        }
    }
}

impl std::error::Error for RecipeError {}

/// One module of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingredient {
    /// What other modules import it by. The entry has a name too, which no import means.
    pub name: String,
    /// SHA-256 of the bytes that were given, binary or text.
    pub sha256: Sha256,
}

/// The modules of a program: libraries in the order in which they were given, which is the one in
/// which they begin unless one imports a later one; and the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    modules: Vec<Ingredient>,
}

impl Recipe {
    /// A recipe of these libraries, in order, and this entry. One that has no name is called
    /// [`ENTRY_NAME`].
    ///
    /// # Errors
    /// [`RecipeError`], but for [`RecipeError::Text`].
    pub fn new(mut libraries: Vec<Ingredient>, mut entry: Ingredient) -> Result<Self, RecipeError> {
        if entry.name.is_empty() {
            ENTRY_NAME.clone_into(&mut entry.name);
        }
        libraries.push(entry);
        let modules = libraries;
        if modules.len() > RECIPE_MODULES_MAX {
            return Err(RecipeError::TooMany(modules.len()));
        }
        for (index, Ingredient { name, .. }) in modules.iter().enumerate() {
            if !is_module_name(name) {
                return Err(RecipeError::Name(name.clone()));
            }
            if modules[..index].iter().any(|other| other.name == *name) {
                return Err(RecipeError::Twice(name.clone()));
            }
        }
        Ok(Self { modules })
    }

    /// Its modules, the entry last.
    #[must_use]
    pub fn modules(&self) -> &[Ingredient] {
        &self.modules
    }

    /// The one spelling of this recipe: a first line, and one line for each module.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = self.modules.iter().map(|one| format!("{DIGEST}{} {}\n", one.sha256, one.name));
        format!("{HEAD}\n{}", lines.collect::<String>())
    }

    /// Reads what [`Recipe::to_text`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn parse(text: &str) -> Result<Self, RecipeError> {
        let mut modules = Vec::new();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let wrong = RecipeError::Text(index + 1);
            let line = line.strip_suffix('\n').ok_or(wrong.clone())?;
            if index == 0 {
                if line != HEAD {
                    return Err(wrong);
                }
                continue;
            }
            if index > RECIPE_MODULES_MAX {
                return Err(RecipeError::TooMany(index));
            }
            let (digest, name) = line
                .strip_prefix(DIGEST)
                .and_then(|line| line.split_once(' '))
                .ok_or(wrong.clone())?;
            let sha256 = Sha256::from_hex(digest).ok_or(wrong)?;
            modules.push(Ingredient { name: name.to_owned(), sha256 });
        }
        let entry = modules.pop().ok_or(RecipeError::Text(1))?;
        if entry.name.is_empty() {
            return Err(RecipeError::Name(entry.name));
        }
        Self::new(modules, entry)
    }

    /// SHA-256 of the text: the manifest's `source`.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        Sha256::of(self.to_text().as_bytes())
    }
}

/// Whether a module of a recipe can have this name.
#[must_use]
pub fn is_module_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

/// Takes the name of an imported module apart: the host's module, and the number of the memory
/// that its functions work on. `wasi_snapshot_preview1@2` is `("wasi_snapshot_preview1", 2)`; a
/// name without such a number means memory 0, the one that is exported as `memory`.
#[must_use]
pub fn host_module(module: &str) -> (&str, u32) {
    numbered(module).unwrap_or((module, 0))
}

/// The name that [`host_module`] takes apart.
#[must_use]
pub fn with_memory(module: &str, memory: u32) -> Cow<'_, str> {
    match memory {
        0 => Cow::Borrowed(module),
        memory => Cow::Owned(format!("{module}{MARK}{memory}")),
    }
}

/// The export that is the memory of this number.
#[must_use]
pub fn memory_export(memory: u32) -> Cow<'static, str> {
    with_memory(MEMORY_EXPORT, memory)
}

/// The number of the memory that an export of this name is; `None` for any other name.
#[must_use]
pub fn exported_memory(name: &str) -> Option<u32> {
    let (name, memory) = host_module(name);
    (name == MEMORY_EXPORT).then_some(memory)
}

/// A name and the number behind it, in the one spelling that it has.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let (name, digits) = name.rsplit_once(MARK)?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let number = digits.parse().ok().filter(|_| is_plain)?;
    Some((name, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Ingredient {
        Ingredient { name: name.to_owned(), sha256: Sha256::of(name.as_bytes()) }
    }

    #[test]
    fn a_recipe_has_one_text() {
        let recipe = Recipe::new(vec![one("math"), one("a b")], one("app")).unwrap();
        let text = recipe.to_text();
        assert_eq!(
            text.lines().next().zip(text.lines().last()),
            Some(("bls-recipe 1", format!("sha256:{} app", Sha256::of(b"app")).as_str()))
        );
        assert_eq!(Recipe::parse(&text), Ok(recipe.clone()));
        assert_eq!(recipe.digest(), Sha256::of(text.as_bytes()));
        assert_eq!(recipe.modules().len(), 3);
        let other = Recipe::new(vec![one("a b"), one("math")], one("app")).unwrap();
        assert_ne!(other.digest(), recipe.digest());
        let unnamed =
            Recipe::new(vec![], Ingredient { name: String::new(), ..one("app") }).unwrap();
        assert_eq!(unnamed.modules()[0].name, ENTRY_NAME);
    }

    #[test]
    fn other_texts_are_none() {
        let good = Recipe::new(vec![one("m")], one("app")).unwrap().to_text();
        let digest = Sha256::of(b"m");
        for (text, why) in [
            (String::new(), RecipeError::Text(1)),
            ("bls-recipe 1\n".to_owned(), RecipeError::Text(1)),
            (good.replace('1', "2"), RecipeError::Text(1)),
            (good.replace("sha256:", "sha256="), RecipeError::Text(2)),
            (good.replace('\n', "\r\n"), RecipeError::Text(1)),
            (good.trim_end().to_owned(), RecipeError::Text(3)),
            (format!("{good}\n"), RecipeError::Text(4)),
            (good.replacen(&digest.to_string(), "00", 1), RecipeError::Text(2)),
            (good.replace(" app", " m"), RecipeError::Twice("m".into())),
            (good.replace(" app", " "), RecipeError::Name(String::new())),
            (good.replace(" app", " a\tb"), RecipeError::Name("a\tb".into())),
        ] {
            assert_eq!(Recipe::parse(&text), Err(why), "{text:?}");
        }
        let many: Vec<Ingredient> =
            (0..RECIPE_MODULES_MAX).map(|number| one(&number.to_string())).collect();
        let refused = Err(RecipeError::TooMany(RECIPE_MODULES_MAX + 1));
        assert_eq!(Recipe::new(many, one("app")), refused);
        assert!(Recipe::new(vec![], one(&"x".repeat(129))).is_err());
    }

    #[test]
    fn a_number_behind_a_module_is_a_memory() {
        for (name, apart) in [
            ("wasi_snapshot_preview1", ("wasi_snapshot_preview1", 0)),
            ("wasi_snapshot_preview1@1", ("wasi_snapshot_preview1", 1)),
            ("env@12@3", ("env@12", 3)),
            ("@7", ("", 7)),
            ("env@4294967295", ("env", u32::MAX)),
            ("env@4294967296", ("env@4294967296", 0)),
            ("env@", ("env@", 0)),
            ("env@0", ("env@0", 0)),
            ("env@01", ("env@01", 0)),
            ("env@+1", ("env@+1", 0)),
            ("env@1 ", ("env@1 ", 0)),
        ] {
            assert_eq!(host_module(name), apart, "{name}");
            assert_eq!(with_memory(apart.0, apart.1), name);
        }
        assert_eq!(memory_export(0), "memory");
        assert_eq!(exported_memory(&memory_export(3)), Some(3));
        assert_eq!(exported_memory("memory"), Some(0));
        assert_eq!(exported_memory("memory2"), None);
    }
}
