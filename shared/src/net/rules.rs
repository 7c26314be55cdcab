//! Whether something of the network is granted.
//!
//! What is refused is refused, whatever is granted. A host is judged as it is named, and then
//! the address that is connected to:
//!
//! | address | reached |
//! |---|---|
//! | public | by whatever name was granted |
//! | of this machine or a private network | where the guest named the address and it is granted, also by `*`; through a name, where the address or its range is granted too; through `localhost` and `*.localhost`, where that name is granted and it is this machine |
//! | link-local, metadata, multicast, reserved | the same, but never by `*` |

use super::address::{AddressKind, kind_of};
use super::grant::{GrantError, NetGrant};
use super::host::{Endpoint, Host};
use super::url::Url;
use crate::limits::NET_RULES_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// What is granted of the network, and what is refused. Nothing is granted by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetRules {
    /// What is granted.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub allow: Vec<NetGrant>,
    /// What is refused, of that.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub deny: Vec<NetGrant>,
}

fn write<S: Serializer>(grants: &[NetGrant], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(grants.iter().map(NetGrant::to_string))
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NetGrant>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    if texts.len() > NET_RULES_MAX {
        return Err(D::Error::custom(format_args!("more than {NET_RULES_MAX} rules")));
    }
    let one = |text: &String| {
        NetGrant::parse(text).map_err(|error| D::Error::custom(format_args!("{text:?}: {error}")))
    };
    texts.iter().map(one).collect()
}

/// What a guest wants to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A page, by HTTP.
    Url(&'a Url),
    /// A port, by TCP: to connect to, or to listen on.
    Endpoint(&'a Endpoint),
}

impl Target<'_> {
    /// Its host.
    #[must_use]
    pub fn host(&self) -> &Host {
        match self {
            Self::Url(url) => &url.host,
            Self::Endpoint(endpoint) => &endpoint.host,
        }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Url(url) => url.port,
            Self::Endpoint(endpoint) => endpoint.port,
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Without its query, which may be somebody's secret.
            Self::Url(url) => {
                write!(formatter, "{}://{}{}", url.scheme.name(), url.authority(), url.path)
            }
            Self::Endpoint(endpoint) => endpoint.fmt(formatter),
        }
    }
}

/// Why something is not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No grant is about it; what it is.
    NotGranted(String),
    /// It is refused by name; what it is, and the rule.
    Refused(String, NetGrant),
    /// The name stands for an address that is not granted.
    Address(Host, IpAddr, AddressKind),
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted(what) => write!(formatter, "{what} is not granted"),
            Self::Refused(what, rule) => write!(formatter, "{what} is refused by the rule {rule}"),
            Self::Address(host, address, kind) => write!(
                formatter,
                "{host} is {address}, {}, which must be granted by its address",
                kind.words()
            ),
        }
    }
}

impl std::error::Error for Denial {}

impl NetRules {
    /// Reads rules, each in a text of its own.
    ///
    /// # Errors
    /// The text that is none, and why.
    pub fn parse<'t>(
        allow: impl IntoIterator<Item = &'t str>,
        deny: impl IntoIterator<Item = &'t str>,
    ) -> Result<Self, (String, GrantError)> {
        let one = |text: &str| NetGrant::parse(text).map_err(|error| (text.to_owned(), error));
        Ok(Self {
            allow: allow.into_iter().map(one).collect::<Result<_, _>>()?,
            deny: deny.into_iter().map(one).collect::<Result<_, _>>()?,
        })
    }

    /// Whether `target` may be asked for, as it is named.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn check(&self, target: &Target<'_>) -> Result<(), Denial> {
        if let Some(rule) = self.deny.iter().find(|rule| rule.refuses(target)) {
            return Err(Denial::Refused(target.to_string(), rule.clone()));
        }
        if self.allow.iter().any(|grant| grant.grants(target)) {
            return Ok(());
        }
        Err(Denial::NotGranted(target.to_string()))
    }

    /// Whether `address`, which the host of `target` stands for, may be connected to. Says
    /// nothing of the name: [`check`](Self::check) does.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn check_address(&self, target: &Target<'_>, address: IpAddr) -> Result<(), Denial> {
        let by_address: Host = address.into();
        // As if it had been asked for by the address.
        let (url, endpoint);
        let asked = match target {
            Target::Url(named) => {
                url = Url { host: by_address.clone(), ..(*named).clone() };
                Target::Url(&url)
            }
            Target::Endpoint(named) => {
                endpoint = Endpoint { host: by_address.clone(), port: named.port };
                Target::Endpoint(&endpoint)
            }
        };
        if let Some(rule) = self.deny.iter().find(|rule| rule.names_hosts() && rule.refuses(&asked))
        {
            return Err(Denial::Refused(asked.to_string(), rule.clone()));
        }
        let kind = kind_of(address);
        let named_itself = *target.host() == by_address;
        let is_own_name = kind == AddressKind::Loopback && target.host().is_localhost();
        let is_granted = |grant: &NetGrant| {
            let by_address = grant.names_hosts() || named_itself;
            let by_own_name = is_own_name && grant.names_hosts() && grant.grants(target);
            by_address && grant.grants(&asked) || by_own_name
        };
        if kind == AddressKind::Public || self.allow.iter().any(is_granted) {
            return Ok(());
        }
        Err(Denial::Address(target.host().clone(), address, kind))
    }

    /// Whether `address`, which the host of `endpoint` stands for, may be listened on, beside
    /// [`check_address`](Self::check_address): a listener on no address (0.0.0.0, ::) is one on
    /// every address of the machine, of which nobody here knows which they are. So any rule
    /// that refuses an address refuses it; `::` is about IPv4 too.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn check_listener(&self, endpoint: &Endpoint, address: IpAddr) -> Result<(), Denial> {
        let address = address.to_canonical();
        if !address.is_unspecified() {
            return Ok(());
        }
        let target = Target::Endpoint(endpoint);
        match self.deny.iter().find(|rule| rule.refuses_some_of(&target, address.is_ipv6())) {
            Some(rule) => Err(Denial::Refused(target.to_string(), rule.clone())),
            None => Ok(()),
        }
    }

    /// Whether a page may be asked for, as its URL names it.
    #[must_use]
    pub fn allows_url(&self, url: &Url) -> bool {
        self.check(&Target::Url(url)).is_ok()
    }

    /// Whether a port may be connected to or listened on, as it is named.
    #[must_use]
    pub fn allows_endpoint(&self, endpoint: &Endpoint) -> bool {
        self.check(&Target::Endpoint(endpoint)).is_ok()
    }

    /// Whether any port of a host may be connected to, as it is named: whether it is any use to
    /// ask for its address.
    #[must_use]
    pub fn allows_some_port(&self, host: &Host) -> bool {
        let ports = self.allow.iter().map(|grant| grant.port().unwrap_or(0));
        ports
            .collect::<BTreeSet<_>>()
            .into_iter()
            .any(|port| self.allows_endpoint(&Endpoint { host: host.clone(), port }))
    }

    /// Whether `address`, which `host` stands for, may be connected to by TCP.
    #[must_use]
    pub fn allows_address(&self, host: &Host, address: IpAddr, port: u16) -> bool {
        let endpoint = Endpoint { host: host.clone(), port };
        self.check_address(&Target::Endpoint(&endpoint), address).is_ok()
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> NetRules {
        NetRules::parse(allow.iter().copied(), deny.iter().copied()).unwrap()
    }

    fn url(rules: &NetRules, text: &str) -> bool {
        rules.allows_url(&Url::parse(text).unwrap())
    }

    fn tcp(rules: &NetRules, text: &str) -> bool {
        rules.allows_endpoint(&Endpoint::parse(text).unwrap())
    }

    /// Whether a URL is reached whose host stands for this address.
    fn resolved(rules: &NetRules, text: &str, address: &str) -> bool {
        let url = Url::parse(text).unwrap();
        let target = Target::Url(&url);
        rules.check(&target).is_ok()
            && rules.check_address(&target, address.parse().unwrap()).is_ok()
    }

    #[test]
    fn nothing_is_granted_that_no_grant_names() {
        let none = NetRules::default();
        assert!(none.is_empty() && !url(&none, "http://h/") && !tcp(&none, "h:1"));
        let some = rules(&["http://good.com", "other.org:443", "tcp://db:5432"], &[]);
        for granted in [
            "http://good.com/",
            "http://GOOD.com:80/x",
            "https://other.org/",
            "http://other.org:443/",
        ] {
            assert!(url(&some, granted), "{granted}");
        }
        for refused in [
            "http://good.com.evil/",
            "http://good.community/",
            "https://good.com/",
            "http://good.com:81/",
            "http://x.good.com/",
            "http://other.org/",
            "http://db:5432/",
        ] {
            assert!(!url(&some, refused), "{refused}");
        }
        assert!(tcp(&some, "other.org:443") && tcp(&some, "db:5432"));
        assert!(!tcp(&some, "good.com:80") && !tcp(&some, "db:5433"));
    }

    #[test]
    fn paths_are_prefixes_on_the_border_of_a_segment() {
        let api = rules(&["https://h/api"], &[]);
        assert!(url(&api, "https://h/api") && url(&api, "https://h/api/x?y=/../z"));
        for refused in [
            "https://h/",
            "https://h/apis",
            "https://h/api/../secret",
            "https://h/api/%2e%2e/secret",
            "https://h/api/..%2fsecret",
            "https://h/api/%2e%2e%5csecret",
            "https://h/api/..;/secret",
        ] {
            assert!(!url(&api, refused), "{refused}");
        }
        let without = rules(&["https://h"], &["https://h/secret"]);
        assert!(url(&without, "https://h/x") && !tcp(&without, "h:443"));
        for refused in [
            "https://h/secret",
            "https://h/secret/x",
            "https://h/x/../secret",
            "https://h/%73ecret",
            "https://h//secret",
            "https://h/x%2f..%2fsecret",
            "https://h/secret;a=1",
            "https://h/secret%3Bx",
            "https://h/SECRET",
            "https://h/secret.",
            "https://h/secret%20/x",
        ] {
            assert!(!url(&without, refused), "{refused}");
        }
    }

    #[test]
    fn what_is_refused_is_refused_by_name_and_by_address() {
        let some = rules(&["*"], &["evil.org", "93.184.216.0/24", "h:25"]);
        assert!(!url(&some, "http://evil.org/") && !tcp(&some, "EVIL.org.:1"));
        assert!(!tcp(&some, "h:25") && tcp(&some, "h:26"));
        assert!(!resolved(&some, "http://good.org/", "93.184.216.34"));
        assert!(!url(&some, "http://93.184.216.34/"));
        assert!(resolved(&some, "http://good.org/", "1.1.1.1"));
        // HTTP that is refused is not spoken over TCP.
        let web = rules(&["h"], &["http://h/x"]);
        assert!(url(&web, "http://h/y") && !tcp(&web, "h:80") && tcp(&web, "h:81"));
    }

    #[test]
    fn an_address_that_is_refused_is_refused_in_every_spelling() {
        let some = rules(&["*"], &["93.184.216.0/24", "127.0.0.0/8", "[::1]:80"]);
        for carrier in [
            "[::ffff:93.184.216.34]",
            "[::93.184.216.34]",
            "[::ffff:0:93.184.216.34]",
            "[64:ff9b::93.184.216.34]",
            "[2002:5db8:d822::1]",
            "[64:ff9b:1::93.184.216.34]",
            "[64:ff9b::127.0.0.1]",
            "0.0.0.0",
            "0.9.9.9",
            "[::]",
        ] {
            assert!(!url(&some, &format!("http://{carrier}/")), "{carrier}");
            assert!(!tcp(&some, &format!("{carrier}:80")), "{carrier}");
            let bare = carrier.trim_matches(['[', ']']);
            assert!(!resolved(&some, "http://named.org/", bare), "{carrier}");
        }
        for other in ["[64:ff9b::1.1.1.1]", "[2002:101:101::1]", "[2606:4700::1111]", "1.1.1.1"] {
            assert!(url(&some, &format!("http://{other}/")), "{other}");
        }
        assert!(tcp(&some, "[::]:81") && !tcp(&some, "0.0.0.0:81"));
        // What is granted is no wider by it.
        let one = rules(&["127.0.0.1", "[::1]", "93.184.216.34"], &[]);
        for other in ["0.0.0.0", "[::]", "[64:ff9b::93.184.216.34]", "[2002:5db8:d822::1]"] {
            assert!(!url(&one, &format!("http://{other}/")), "{other}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_refused_by_what_refuses_one_of_them() {
        let listens = |deny: &[&str], text: &str| {
            let endpoint = Endpoint::parse(text).unwrap();
            let address = endpoint.host.address().unwrap();
            let target = Target::Endpoint(&endpoint);
            let some = rules(&["*"], deny);
            some.check(&target)
                .and_then(|()| some.check_address(&target, address))
                .and_then(|()| some.check_listener(&endpoint, address))
                .is_ok()
        };
        for deny in ["127.0.0.0/8", "10.0.0.7", "10.0.0.7:80", "localhost"] {
            for every in ["0.0.0.0:80", "[::]:80", "[::ffff:0.0.0.0]:80"] {
                assert!(!listens(&[deny], every), "{deny} {every}");
            }
        }
        for deny in ["[::1]", "[fd00::]/8", "http://[::1]:80/x", "tcp://[::1]"] {
            assert!(!listens(&[deny], "[::]:80"), "{deny}");
            assert!(listens(&[deny], "0.0.0.0:80"), "{deny}");
        }
        assert!(!listens(&["http://10.0.0.7/x"], "0.0.0.0:80"));
        for deny in [&[][..], &["evil.org"], &["10.0.0.7:81"], &["https://10.0.0.7"]] {
            assert!(listens(deny, "0.0.0.0:80") && listens(deny, "[::]:80"), "{deny:?}");
        }
        assert!(listens(&["10.0.0.0/8"], "127.0.0.1:80") && listens(&["[::1]"], "127.0.0.1:80"));
    }

    #[test]
    fn a_name_leads_inside_only_where_the_address_is_granted() {
        let all = rules(&["*"], &[]);
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "fe80::1",
        ] {
            assert!(!resolved(&all, "http://rebind.org/", address), "{address}");
            assert!(!resolved(&rules(&["rebind.org"], &[]), "http://rebind.org/", address));
        }
        assert!(!resolved(&all, "http://localhost/", "127.0.0.1"));
        assert!(resolved(&all, "http://127.0.0.1:3000/", "127.0.0.1"));
        assert!(resolved(&all, "http://[::ffff:7f00:1]/", "127.0.0.1"));
        assert!(resolved(&all, "http://10.0.0.1/", "10.0.0.1"));
        for never in ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "224.0.0.1"] {
            assert!(!url(&all, &format!("http://{never}/")), "{never}");
            assert!(url(&rules(&[never], &[]), &format!("http://{never}/")), "{never}");
        }
        let inside = rules(&["intern.org", "10.0.0.0/8"], &[]);
        assert!(resolved(&inside, "http://intern.org/", "10.1.2.3"));
        assert!(!resolved(&inside, "http://intern.org/", "192.168.0.1"));
        assert!(!resolved(&inside, "http://other.org/", "10.1.2.3"), "the name is not granted");
        let one = rules(&["intern.org", "http://10.0.0.1/public"], &[]);
        assert!(resolved(&one, "http://intern.org/public", "10.0.0.1"));
        assert!(!resolved(&one, "http://intern.org/secret", "10.0.0.1"));
        assert!(!resolved(&one, "https://intern.org/public", "10.0.0.1"));
    }

    #[test]
    fn localhost_is_this_machine_where_it_is_granted() {
        let own = rules(&["localhost:8080"], &[]);
        assert!(resolved(&own, "http://localhost:8080/", "127.0.0.1"));
        assert!(resolved(&own, "http://localhost:8080/", "::1"));
        assert!(!resolved(&own, "http://localhost:8080/", "10.0.0.1"));
        assert!(!resolved(&own, "http://127.0.0.1:8080/", "127.0.0.1"));
        assert!(!resolved(&own, "http://localhost:8081/", "127.0.0.1"));
        let https = rules(&["https://app.localhost"], &[]);
        assert!(resolved(&https, "https://app.localhost/", "127.0.0.1"));
    }

    #[test]
    fn a_denial_says_what_is_missing() {
        let said = |rules: &NetRules, text: &str, address: &str| {
            let url = Url::parse(text).unwrap();
            let target = Target::Url(&url);
            let checked = rules.check(&target);
            checked
                .and_then(|()| rules.check_address(&target, address.parse().unwrap()))
                .unwrap_err()
                .to_string()
        };
        let some = rules(&["*"], &["evil.org"]);
        assert_eq!(
            said(&some, "http://h/x?token=1", "10.0.0.1"),
            "h is 10.0.0.1, an address of a private network, which must be granted by its address"
        );
        assert_eq!(
            said(&some, "http://evil.org/x?token=1", "1.1.1.1"),
            "http://evil.org/x is refused by the rule evil.org"
        );
        assert_eq!(
            said(&NetRules::default(), "https://h:8443/x", "1.1.1.1"),
            "https://h:8443/x is not granted"
        );
    }

    #[test]
    fn rules_are_text_in_json() {
        let some = rules(&["*", "http://h/x"], &["[::1]:80"]);
        let text = serde_json::to_string(&some).unwrap();
        assert_eq!(text, r#"{"allow":["*","http://h/x"],"deny":["[::1]:80"]}"#);
        assert_eq!(serde_json::from_str::<NetRules>(&text).unwrap(), some);
        for wrong in [r#"{"allow":["h/x"]}"#, r#"{"alow":[]}"#, r#"{"allow":"*"}"#] {
            assert!(serde_json::from_str::<NetRules>(wrong).is_err(), "{wrong}");
        }
    }
}
