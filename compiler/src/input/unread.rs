//! What is to be compiled, before anybody has looked into it: bytes, and what they are together.

use super::{Binary, InputError};
use bls_artifact::digest::Sha256;
use bls_artifact::recipe::{Ingredient, Recipe, RecipeError};

/// Bytes that nobody has looked into.
#[derive(Clone, Debug)]
pub struct Unread {
    /// What messages call them, usually a file's name.
    pub label: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What is to be compiled, before anybody has looked into it.
#[derive(Clone, Debug)]
pub enum Given {
    /// A module.
    One(Unread),
    /// Several that become one, by their names, the entry last.
    Several(Vec<(String, Unread)>),
    /// Several components that are put together, by their names, the socket last.
    Plugged(Vec<(String, Unread)>),
}

impl Given {
    /// A module alone.
    #[must_use]
    pub fn one(bytes: Vec<u8>, label: &str) -> Self {
        Self::One(Unread { label: label.to_owned(), bytes })
    }

    /// What it is called; of several, the entry.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::One(one) => &one.label,
            Self::Several(all) | Self::Plugged(all) => {
                all.last().map_or("", |(_, entry)| &entry.label)
            }
        }
    }

    /// All of it, with the names of several.
    pub fn all(&self) -> impl Iterator<Item = (Option<&str>, &Unread)> {
        let (one, all) = match self {
            Self::One(one) => (Some(one), &[][..]),
            Self::Several(all) | Self::Plugged(all) => (None, all.as_slice()),
        };
        let named = all.iter().map(|(name, one)| (Some(name.as_str()), one));
        one.into_iter().map(|one| (None, one)).chain(named)
    }

    /// All of it, without the names of several.
    #[must_use]
    pub fn into_all(self) -> Vec<Unread> {
        match self {
            Self::One(one) => vec![one],
            Self::Several(all) | Self::Plugged(all) => {
                all.into_iter().map(|(_, one)| one).collect()
            }
        }
    }

    /// What was read of it, where it may be that: of several modules each is one, and of several
    /// components.
    ///
    /// # Errors
    /// [`InputError::Component`], [`InputError::Module`].
    pub(crate) fn admit(&self, one: Binary) -> Result<Binary, InputError> {
        match (self, one) {
            (Self::Several(_), one) => one.module().map(Binary::Module),
            (Self::Plugged(_), Binary::Module(_)) => Err(InputError::Module),
            (_, one) => Ok(one),
        }
    }

    /// The source that a manifest would name: SHA-256 of a module, or of a recipe.
    ///
    /// # Errors
    /// [`RecipeError`], when these cannot be several modules of one program.
    pub fn digest(&self) -> Result<Sha256, RecipeError> {
        let all = match self {
            Self::One(one) => return Ok(Sha256::of(&one.bytes)),
            Self::Several(all) | Self::Plugged(all) => all,
        };
        let ingredient = |(name, one): &(String, Unread)| Ingredient {
            name: name.clone(),
            sha256: Sha256::of(&one.bytes),
        };
        let mut modules: Vec<Ingredient> = all.iter().map(ingredient).collect();
        let entry = modules.pop().ok_or(RecipeError::Text(1))?;
        Recipe::new(modules, entry).map(|recipe| recipe.digest())
    }
}
