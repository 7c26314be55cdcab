//! Options about what is beyond files: the network, extensions, listeners, listed variables.
//!
//! Guarantees that a place of the network and an address are well-formed. Looks nothing up, and
//! at no file.

use super::values::{text, variable};
use super::{UsageError, help, malformed, usage};
use crate::request::Request;
use bls_artifact::limits::NET_RULES_MAX;
use bls_artifact::net::{Endpoint, NetGrant};
use lexopt::Parser;

/// One of these options; an error where there is no option of this name.
pub(super) fn option(
    name: &str,
    request: &mut Request,
    parser: &mut Parser,
) -> Result<(), UsageError> {
    let beyond = &mut request.beyond;
    match name {
        "allow-net" | "permission" => places(&mut beyond.network.allow, name, parser)?,
        "deny-net" => places(&mut beyond.network.deny, name, parser)?,
        "extensions" => {
            beyond.extensions.path = Some(parser.value().map_err(malformed)?.into());
        }
        "allow-extension" => {
            let aliases = text(parser, name)?;
            if aliases.split(',').any(str::is_empty) {
                return Err(usage("--allow-extension takes names: search,convert"));
            }
            beyond.extensions.aliases.extend(aliases.split(',').map(str::to_owned));
        }
        "listen" => {
            let value = text(parser, name)?;
            let endpoint = Endpoint::parse(&value)
                .map_err(|error| usage(&format!("--listen {value}: {error}")))?;
            beyond.listeners.push(endpoint);
        }
        "listen-passed" => beyond.passed_listeners = true,
        "broker" => beyond.broker = Some(parser.value().map_err(malformed)?.into()),
        "authorities" => beyond.authorities = Some(parser.value().map_err(malformed)?.into()),
        "list-env" => {
            request.listed.push(variable(&parser.value().map_err(malformed)?, name)?);
        }
        _ => return Err(usage(&help::no_option(&format!("--{name}")))),
    }
    Ok(())
}

/// Places of the network, with commas between them.
fn places(into: &mut Vec<NetGrant>, name: &str, parser: &mut Parser) -> Result<(), UsageError> {
    let value = text(parser, name)?;
    for place in value.split(',') {
        let place = NetGrant::parse(place)
            .map_err(|error| usage(&format!("--{name} {place:?}: {error}")))?;
        into.push(place);
    }
    if into.len() > NET_RULES_MAX {
        return Err(usage(&format!("--{name} takes at most {NET_RULES_MAX} places")));
    }
    Ok(())
}
