//! The tar in which images are kept and carried (the OCI's image layout).
//!
//! Guarantees the same bytes for the same blobs and names: entries are sorted, belong to root, and
//! have no time. Of a layout that is read, every blob has the digest that it is named by.

use crate::error::Error;
use crate::form::{Descriptor, Index, to_bytes};
use bls_artifact::digest::Sha256;
use bls_artifact::registry::Defect;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use tar::{Archive, Builder, EntryType, Header};

/// What a folder of blobs is named.
const BLOBS: &str = "blobs/sha256/";
/// The file that names the rest.
const INDEX_FILE: &str = "index.json";
/// The file that says what this is.
const MARK_FILE: &str = "oci-layout";
/// What stands in it.
const MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A file of a layer: its path, and how it lies there.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Without a slash before it.
    pub path: &'a str,
    /// Its rights.
    pub mode: u32,
    /// What is in it; a folder where there is nothing.
    pub contents: Option<&'a [u8]>,
}

/// A tar of these, in the order they are given.
///
/// # Errors
/// A path that tar cannot hold.
pub fn tar_of(entries: &[Entry<'_>]) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| {
        Error::new(Defect::Unwritable, format!("this cannot be put into a tar: {error}"))
    };
    let mut tar = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(match entry.contents {
            Some(_) => EntryType::Regular,
            None => EntryType::Directory,
        });
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let contents = entry.contents.unwrap_or_default();
        header.set_size(contents.len() as u64);
        tar.append_data(&mut header, entry.path, contents).map_err(failed)?;
    }
    tar.into_inner().map_err(failed)
}

/// An image, or several, with all that they are made of.
#[derive(Debug, Default)]
pub struct Layout {
    /// Where it was read, for errors.
    path: String,
    named: Vec<Descriptor>,
    blobs: BTreeMap<Sha256, Vec<u8>>,
}

impl Layout {
    /// Adds a blob.
    pub fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        let _ = self.blobs.insert(descriptor.digest, bytes);
        descriptor
    }

    /// Says that this is what the layout is for.
    pub fn name(&mut self, descriptor: Descriptor) {
        self.named.push(descriptor);
    }

    /// The one thing that it is for.
    ///
    /// # Errors
    /// It is for none, or for several.
    pub fn top(&self) -> Result<&Descriptor, Error> {
        match self.named.as_slice() {
            [one] => Ok(one),
            all => Err(self.wrong(&format!("it holds {} images, and one is wanted", all.len()))),
        }
    }

    /// A blob that something names.
    ///
    /// # Errors
    /// It is not there, or has another length.
    pub fn blob(&self, named: &Descriptor) -> Result<&[u8], Error> {
        let bytes = self.blobs.get(&named.digest).filter(|all| all.len() as u64 == named.size);
        let missing = || self.wrong(&format!("sha256:{} is not in it", named.digest));
        bytes.map(Vec::as_slice).ok_or_else(missing)
    }

    /// An error about this layout.
    pub(crate) fn wrong(&self, what: &str) -> Error {
        Error::new(Defect::Layout, format!("{} is no image: {what}", self.path))
    }

    /// The bytes of the tar.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn to_tar(&self) -> Result<Vec<u8>, Error> {
        let index = to_bytes(&Index::of(self.named.clone()));
        let blobs = self.blobs.iter();
        let blobs: Vec<(String, &[u8])> =
            blobs.map(|(digest, bytes)| (format!("{BLOBS}{digest}"), bytes.as_slice())).collect();
        let folder = |path| Entry { path, mode: 0o755, contents: None };
        let file = |path, contents| Entry { path, mode: 0o644, contents: Some(contents) };
        let mut entries = vec![folder("blobs/"), folder(BLOBS)];
        entries.extend(blobs.iter().map(|(path, bytes)| file(path, bytes)));
        entries.extend([file(INDEX_FILE, &index), file(MARK_FILE, MARK)]);
        tar_of(&entries)
    }

    /// Reads a tar.
    ///
    /// # Errors
    /// It is no layout, or a blob is not what its name says.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let mut layout = Self { path: path.display().to_string(), ..Self::default() };
        let mut archive = Archive::new(bytes);
        let wrong = |layout: &Self, error: std::io::Error| layout.wrong(&error.to_string());
        let mut is_marked = false;
        let mut index = None;
        for entry in archive.entries().map_err(|error| wrong(&layout, error))? {
            let mut entry = entry.map_err(|error| wrong(&layout, error))?;
            if entry.header().entry_type() != EntryType::Regular {
                continue;
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut contents = Vec::new();
            let _ = entry.read_to_end(&mut contents).map_err(|error| wrong(&layout, error))?;
            match name.strip_prefix("./").unwrap_or(&name) {
                MARK_FILE => is_marked = true,
                INDEX_FILE => index = Some(contents),
                other => {
                    let Some(hex) = other.strip_prefix(BLOBS) else { continue };
                    if Sha256::from_hex(hex) != Some(Sha256::of(&contents)) {
                        return Err(layout.wrong(&format!("{other} has another digest")));
                    }
                    let _ = layout.blobs.insert(Sha256::of(&contents), contents);
                }
            }
        }
        let Some(index) = index.filter(|_| is_marked) else {
            return Err(layout.wrong("it is no tar with oci-layout and index.json in it"));
        };
        let index: Index = serde_json::from_slice(&index)
            .map_err(|error| layout.wrong(&format!("its index.json is none: {error}")))?;
        layout.named = index.manifests;
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{LAYER, MANIFEST};

    #[test]
    fn a_layout_is_read_as_it_was_written() {
        let mut layout = Layout::default();
        let layer = layout.add(LAYER, b"layer".to_vec());
        let top = layout.add(MANIFEST, b"manifest".to_vec());
        layout.name(top.clone());
        let tar = layout.to_tar().unwrap();
        assert_eq!(tar, layout.to_tar().unwrap());
        let read = Layout::parse(Path::new("a.tar"), &tar).unwrap();
        assert_eq!(read.top().unwrap(), &top);
        assert_eq!(read.blob(&layer).unwrap(), b"layer");
        let longer = Descriptor { size: 6, ..layer };
        assert!(read.blob(&longer).unwrap_err().is(Defect::Layout));
    }

    #[test]
    fn what_is_no_layout_is_refused() {
        let path = Path::new("a.tar");
        let entry = |path, contents| Entry { path, mode: 0o644, contents: Some(contents) };
        let lying = format!("{BLOBS}{}", Sha256::of(b"a"));
        let index = entry(INDEX_FILE, br#"{"schemaVersion":2,"manifests":[]}"#);
        for entries in [
            &[][..],
            &[index],
            &[entry(MARK_FILE, MARK)],
            &[entry(MARK_FILE, MARK), entry(INDEX_FILE, b"{}")],
            &[entry(MARK_FILE, MARK), index, entry(&lying, b"b")],
        ] {
            let tar = tar_of(entries).unwrap();
            assert!(Layout::parse(path, &tar).unwrap_err().is(Defect::Layout), "{entries:?}");
        }
        assert!(Layout::parse(path, b"no tar").unwrap_err().is(Defect::Layout));
        let none = tar_of(&[entry(MARK_FILE, MARK), index]).unwrap();
        assert!(Layout::parse(path, &none).unwrap().top().unwrap_err().is(Defect::Layout));
    }
}
