//! A signature beside what was pushed, as cosign looks for it: under a tag that is made of the
//! digest, in a manifest whose layers are the texts that were signed, each with its signature as an
//! annotation (cosign's `specs/SIGNATURE_SPEC.md`).
//!
//! The signature is made elsewhere: this program has the network, and no key. Guarantees that what
//! others have signed under the same tag stays there, and that the same signature gives the same
//! manifest. Verifies nothing: who signed what is asked by whoever trusts a key.

use crate::client::Client;
use crate::error::Error;
use crate::form::{Annotations, CONFIG, Descriptor, MANIFEST, Manifest, Read, read, to_bytes};
use crate::reference::Reference;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bls_artifact::digest::Sha256;
use bls_artifact::registry::{Defect, signed_text};

/// The type of a text that was signed.
const SIGNED_TEXT: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation that holds the signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// A signature over [`signed_text`] of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Of what was pushed.
    pub digest: Sha256,
    /// In base64.
    text: String,
}

impl Signature {
    /// Reads `sha256:HEX=BASE64`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let (digest, text) = word.strip_prefix("sha256:")?.split_once('=')?;
        let digest = Sha256::from_hex(digest)?;
        let bytes = BASE64.decode(text).ok()?;
        (bytes.len() == SIGNATURE_BYTES).then(|| Self { digest, text: text.to_owned() })
    }

    /// Refuses it for another digest than that of what is pushed.
    ///
    /// # Errors
    /// [`Defect::Usage`].
    pub fn check(&self, pushed: Sha256) -> Result<(), Error> {
        match self.digest == pushed {
            true => Ok(()),
            false => Err(Error::new(
                Defect::Usage,
                format!(
                    "the signature is for sha256:{}, and what is pushed is sha256:{pushed}",
                    self.digest
                ),
            )),
        }
    }
}

/// The tag under which signatures of a digest are looked for.
#[must_use]
pub fn tag(digest: Sha256) -> String {
    format!("sha256-{digest}.sig")
}

/// Puts a signature into a repository, beside those that are there. What it is for may come later.
///
/// # Errors
/// The registry does not take it, or has something else under that tag.
pub fn put(client: &mut Client, reference: &Reference, signature: &Signature) -> Result<(), Error> {
    let tag = tag(signature.digest);
    let text = signed_text(&reference.repository(), signature.digest);
    let mut layer = Descriptor::of(SIGNED_TEXT, text.as_bytes());
    layer.annotations = Annotations::from([(SIGNATURE.to_owned(), signature.text.clone())]);
    let mut layers = match client.manifest_if_there(&tag)? {
        None => Vec::new(),
        Some(bytes) => match read(&bytes, MANIFEST) {
            Ok(Read::Manifest(there)) => there.layers,
            _ => return Err(client.senseless(&format!("what it has as {tag} is no signature"))),
        },
    };
    if layers.contains(&layer) {
        return Ok(());
    }
    client.put_blob(text.as_bytes())?;
    layers.push(layer);
    let config = config(&layers);
    client.put_blob(config.as_bytes())?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        artifact_type: None,
        config: Descriptor::of(CONFIG, config.as_bytes()),
        layers,
        subject: None,
        annotations: Annotations::new(),
    };
    client.put_manifest(&tag, MANIFEST, &to_bytes(&manifest)).map(drop)
}

/// The configuration of an image that has these layers, and runs nowhere.
fn config(layers: &[Descriptor]) -> String {
    let digests: Vec<String> =
        layers.iter().map(|layer| format!("\"sha256:{}\"", layer.digest)).collect();
    format!(
        r#"{{"architecture":"","os":"","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        digests.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_names_its_digest() {
        let digest = Sha256::of(b"x");
        let text = BASE64.encode([7; SIGNATURE_BYTES]);
        let read = Signature::parse(&format!("sha256:{digest}={text}")).unwrap();
        assert_eq!((read.digest, &read.text), (digest, &text));
        assert!(read.check(digest).is_ok());
        assert!(read.check(Sha256::of(b"y")).unwrap_err().is(Defect::Usage));
        assert_eq!(tag(digest), format!("sha256-{digest}.sig"));
        let short = BASE64.encode([7; SIGNATURE_BYTES - 1]);
        for wrong in [
            String::new(),
            text.clone(),
            format!("{digest}={text}"),
            format!("sha256:{digest}={short}"),
            format!("sha256:{digest}={text}!"),
            format!("sha256:00={text}"),
        ] {
            assert_eq!(Signature::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_configuration_is_an_images() {
        let layer = Descriptor::of(SIGNED_TEXT, b"x");
        let config: serde_json::Value =
            serde_json::from_str(&config(&[layer.clone(), layer.clone()])).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][1], format!("sha256:{}", layer.digest));
    }
}
