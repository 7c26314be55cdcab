//! The JSON of a trust file.
//!
//! Form 1 is `{"version": 1, "keys": [{id, comment, pem}]}`; form 2 is what this writes.
//! One pass reads either. Guarantees after a parse: no unknown field, no field twice,
//! no number above 2⁵³−1, every cap of `limits.rs`. White space and the order of fields
//! are free: people write these files, and a signature covers the very bytes.

use super::tree::{Fields, Node, read};
use super::version::VersionRange;
use super::{
    ClockPolicy, FORM, RefusedVersions, Reset, Role, Roots, Terms, Trust, TrustError, TrustedKey,
};
use crate::capability::Permission;
use crate::digest::Sha256;
use crate::key::PublicKey;

pub(super) fn parse(text: &[u8]) -> Result<Trust, TrustError> {
    if super::signed::is_signed(text) {
        return Err(TrustError::Signed);
    }
    let mut fields = Fields::of(read(text)?, "a trust file")?;
    let form = fields.number("version")?;
    let form = fields.must("version", form)?;
    // The form first: another one may have other fields.
    if !(1..=FORM).contains(&form) {
        return Err(TrustError::Form(form));
    }
    let keys = fields.list("keys")?;
    let keys = fields.must("keys", keys)?;
    let mut trust = Trust {
        sequence: fields.number("sequence")?.unwrap_or(0),
        created: fields.number("created")?.unwrap_or(0),
        threshold: fields.number("threshold")?.unwrap_or(1),
        clock: fields.text("clock")?.map_or(Ok(ClockPolicy::default()), clock)?,
        keys: keys.into_iter().map(trusted).collect::<Result<_, _>>()?,
        root: fields.take("root").map(roots).transpose()?,
        ..Trust::default()
    };
    if let Some(node) = fields.take("revoked") {
        let mut revoked = Fields::of(node, "\"revoked\"")?;
        trust.revoked_keys = revoked.texts("keys", digest)?.unwrap_or_default();
        trust.revoked_digests = revoked.texts("digests", digest)?.unwrap_or_default();
        revoked.end()?;
    }
    if let Some(node) = fields.take("refused") {
        let mut refused = Fields::of(node, "\"refused\"")?;
        trust.refused = RefusedVersions {
            compiler: refused.texts("compiler", range)?.unwrap_or_default(),
            engine: refused.texts("engine", range)?.unwrap_or_default(),
        };
        refused.end()?;
    }
    let resets = fields.list("reset")?.unwrap_or_default();
    trust.resets = resets.into_iter().map(reset).collect::<Result<_, _>>()?;
    fields.end()?;
    trust.check()?;
    let plain = trust.keys.iter().all(|key| key.terms == Terms::default());
    let list = Trust { keys: trust.keys.clone(), ..Trust::default() };
    if form == 1 && !(plain && list == trust) {
        return Err(TrustError::Form1);
    }
    Ok(trust)
}

/// A key with what it is called.
fn key(fields: &mut Fields) -> Result<(PublicKey, String), TrustError> {
    let [id, comment, pem] = ["id", "comment", "pem"].map(|name| {
        let text = fields.text(name)?;
        fields.must(name, text)
    });
    let (id, comment) = (digest(id?)?, comment?);
    match PublicKey::from_pem(&pem?) {
        Ok(key) if key.id() == id => Ok((key, comment)),
        _ => Err(TrustError::Key(comment)),
    }
}

fn trusted(node: Node) -> Result<TrustedKey, TrustError> {
    let mut fields = Fields::of(node, "a key")?;
    let (key, comment) = key(&mut fields)?;
    let terms = Terms {
        role: fields.text("role")?.map_or(Ok(Role::default()), role)?,
        prefixes: fields.texts("prefixes", Ok)?,
        may: fields.texts("may", permission)?,
        not_before: fields.number("not_before")?,
        not_after: fields.number("not_after")?,
    };
    fields.end()?;
    Ok(TrustedKey { key, comment, terms })
}

pub(super) fn roots(node: Node) -> Result<Roots, TrustError> {
    let mut fields = Fields::of(node, "\"root\"")?;
    let threshold = fields.number("threshold")?;
    let threshold = fields.must("threshold", threshold)?;
    let keys = fields.list("keys")?;
    let root = |node| {
        let mut fields = Fields::of(node, "a root key")?;
        let root = key(&mut fields)?;
        fields.end()?;
        Ok(root)
    };
    let keys = fields.must("keys", keys)?.into_iter().map(root);
    let roots = Roots { threshold, keys: keys.collect::<Result<_, TrustError>>()? };
    fields.end()?;
    roots.check()?;
    Ok(roots)
}

fn reset(node: Node) -> Result<Reset, TrustError> {
    let mut fields = Fields::of(node, "a reset")?;
    let (name, sequence) = (fields.text("name")?, fields.number("sequence")?);
    let reset =
        Reset { name: fields.must("name", name)?, sequence: fields.must("sequence", sequence)? };
    fields.end()?;
    Ok(reset)
}

pub(super) fn digest(text: String) -> Result<Sha256, TrustError> {
    let digest = Sha256::from_hex(&text);
    digest.ok_or_else(|| TrustError::Json(format!("{text:?} is not 64 lower-case hex digits")))
}

fn range(text: String) -> Result<VersionRange, TrustError> {
    VersionRange::parse(&text).ok_or(TrustError::Range(text))
}

fn permission(text: String) -> Result<Permission, TrustError> {
    Permission::parse(&text).map_err(|error| TrustError::Json(error.to_string()))
}

fn role(text: String) -> Result<Role, TrustError> {
    Role::from_name(&text).ok_or_else(|| TrustError::Json(format!("{text:?} is no role")))
}

fn clock(text: String) -> Result<ClockPolicy, TrustError> {
    let policy = ClockPolicy::from_name(&text);
    policy.ok_or_else(|| TrustError::Json(format!("\"clock\" is refuse or ignore, not {text:?}")))
}

pub(super) fn to_text(trust: &Trust) -> String {
    let text = |words: &str| Some(Node::Text(words.to_owned()));
    let unless = |number: u64, default: u64| (number != default).then_some(Node::Number(number));
    let list = |nodes: Vec<Node>| (!nodes.is_empty()).then_some(Node::List(nodes));
    // An object that would be empty is left out.
    let object = |fields: [(&str, Option<Node>); 2]| {
        fields.iter().any(|(_, value)| value.is_some()).then(|| Node::object(fields))
    };
    let reset = |reset: &Reset| {
        Node::object([
            ("name", text(&reset.name)),
            ("sequence", Some(Node::Number(reset.sequence))),
        ])
    };
    let refused = &trust.refused;
    Node::object([
        ("version", Some(Node::Number(FORM))),
        ("sequence", unless(trust.sequence, 0)),
        ("created", unless(trust.created, 0)),
        ("threshold", unless(trust.threshold, 1)),
        ("clock", (trust.clock == ClockPolicy::Ignore).then(|| text("ignore")).flatten()),
        ("keys", Some(Node::List(trust.keys.iter().map(of_key).collect()))),
        (
            "revoked",
            object([
                ("keys", Node::texts_if_any(&trust.revoked_keys)),
                ("digests", Node::texts_if_any(&trust.revoked_digests)),
            ]),
        ),
        (
            "refused",
            object([
                ("compiler", Node::texts_if_any(&refused.compiler)),
                ("engine", Node::texts_if_any(&refused.engine)),
            ]),
        ),
        ("reset", list(trust.resets.iter().map(reset).collect())),
        ("root", trust.root.as_ref().map(of_roots)),
    ])
    .to_text()
}

fn of_key(trusted: &TrustedKey) -> Node {
    let TrustedKey { key, comment, terms } = trusted;
    let role = (terms.role != Role::default()).then(|| Node::Text(terms.role.name().to_owned()));
    Node::object([
        ("id", Some(Node::Text(key.id().to_string()))),
        ("comment", Some(Node::Text(comment.clone()))),
        ("pem", Some(Node::Text(key.to_pem()))),
        ("role", role),
        ("prefixes", terms.prefixes.as_deref().map(Node::texts)),
        ("may", terms.may.as_deref().map(Node::texts)),
        ("not_before", terms.not_before.map(Node::Number)),
        ("not_after", terms.not_after.map(Node::Number)),
    ])
}

pub(super) fn of_roots(roots: &Roots) -> Node {
    let root = |(key, comment): &(PublicKey, String)| {
        Node::object([
            ("id", Some(Node::Text(key.id().to_string()))),
            ("comment", Some(Node::Text(comment.clone()))),
            ("pem", Some(Node::Text(key.to_pem()))),
        ])
    };
    Node::object([
        ("threshold", Some(Node::Number(roots.threshold))),
        ("keys", Some(Node::List(roots.keys.iter().map(root).collect()))),
    ])
}
