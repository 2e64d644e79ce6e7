//! One end of the migration: where the server is, who we are there, and how TLS is done.
//!
//! Reads libpq's two forms of connection strings, the URI and `keyword=value`. An unknown word is an error: a typo in a
//! connection string must not pass in silence. No I/O.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use common::secret::Secret;
use common::settings::SettingError;
use percent_encoding::percent_decode_str;
use platform::tunnel::Tunnel;

use crate::tls::{Roots, SslMode, TlsPolicy};

/// libpq's default port.
const DEFAULT_PORT: u16 = 5432;
/// How long one attempt to connect may take, unless `connect_timeout` says otherwise.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Words of libpq that do not matter to us and that a connection string may hold all the same.
const IGNORED: [&str; 12] = [
    "application_name",
    "fallback_application_name",
    "channel_binding",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
    "target_session_attrs",
    "client_encoding",
    "sslsni",
];
/// Words that are understood.
const KNOWN: [&str; 10] =
    ["host", "hostaddr", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "connect_timeout", "options"];

/// Everything needed to open sessions with one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Host name or address, or the directory of a Unix socket (begins with `/`).
    pub host: String,
    /// Where to connect to when it is not what the certificate names (libpq's `hostaddr`).
    pub host_address: Option<std::net::IpAddr>,
    /// TCP port, or the number in the socket's name.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// How TLS is done.
    pub tls: TlsPolicy,
    /// Bound of one attempt to connect.
    pub connect_timeout: Duration,
    /// Server options, as in libpq's `options`.
    pub options: Option<String>,
    /// The way there, when it can only be reached from inside a platform.
    pub tunnel: Option<Tunnel>,
}

/// The parts of an endpoint as they are collected; any source of credentials fills one in.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub(crate) host: Option<String>,
    pub(crate) hostaddr: Option<String>,
    pub(crate) port: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: Option<String>,
    pub(crate) sslmode: Option<String>,
    pub(crate) sslrootcert: Option<String>,
    pub(crate) connect_timeout: Option<String>,
    pub(crate) options: Option<String>,
}

impl Endpoint {
    /// Reads a connection string that came from `origin` (a variable's name, for messages; the string itself is secret).
    pub fn parse(text: &str, origin: &str) -> Result<Self, SettingError> {
        Parts::parse(text, origin)?.build(origin)
    }

    /// `postgresql://user@host:port/database`, without the password.
    pub fn label(&self) -> String {
        if self.is_unix_socket() {
            return format!("postgresql:///{}?host={}&port={}", self.database, self.host, self.port);
        }
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("postgresql://{}@{host}:{}/{}", self.user, self.port, self.database)
    }

    /// Whether the host is the directory of a Unix socket.
    pub fn is_unix_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.label())
    }
}

/// A word that is none. It is shown only when it is one misspelt, since it may be a piece of a password.
fn unknown(word: &str) -> String {
    let like = |known: &&&str| strsim::jaro_winkler(known, word) > 0.85;
    match KNOWN.iter().find(like) {
        Some(known) => format!("it holds the unknown word `{word}`; `{known}` may be meant"),
        None => format!("it holds a word that is none of {}", KNOWN.join(", ")),
    }
}

impl Parts {
    /// Reads either form of connection string.
    pub fn parse(text: &str, origin: &str) -> Result<Self, SettingError> {
        let text = text.trim();
        match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
            Some(rest) => Self::parse_url(rest, origin),
            None if text.contains("://") => Err(invalid(origin, "it does not begin with postgresql:// or postgres://")),
            None if text.contains('=') => Self::parse_keywords(text, origin),
            None => Err(invalid(
                origin,
                "it is neither a URL (postgresql://user:password@host:port/database) nor keyword=value",
            )),
        }
    }

    fn parse_url(rest: &str, origin: &str) -> Result<Self, SettingError> {
        let mut parts = Self::default();
        let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before_query.split_once('/').unwrap_or((before_query, ""));
        // The last `@`: a password that someone forgot to encode may hold one.
        let (user_info, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) =
            user_info.split_once(':').map_or((user_info, None), |(user, password)| (user, Some(password)));
        parts.user = decode(user, origin)?;
        parts.password = password.map(|password| decode(password, origin)).transpose()?.flatten().map(Secret::new);
        parts.database = decode(path, origin)?;
        if address.contains(',') {
            return Err(invalid(origin, "it names several hosts; give the one that is the primary"));
        }
        let (host, port) = match address.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, after)) => (host, after.strip_prefix(':')),
            None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
        };
        parts.host = decode(host, origin)?;
        parts.port = port.map(|port| decode(port, origin)).transpose()?.flatten();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (word, value) = pair
                .split_once('=')
                .ok_or_else(|| invalid(origin, "a word after its ? lacks an =; encode a ? in the password as %3F"))?;
            parts.set(word, decode(value, origin)?.unwrap_or_default(), origin)?;
        }
        Ok(parts)
    }

    fn parse_keywords(text: &str, origin: &str) -> Result<Self, SettingError> {
        let mut parts = Self::default();
        let mut characters = text.chars().peekable();
        loop {
            while characters.next_if(|character| character.is_whitespace()).is_some() {}
            if characters.peek().is_none() {
                return Ok(parts);
            }
            let mut word = String::new();
            while let Some(character) = characters.next_if(|character| *character != '=') {
                word.push(character);
            }
            if characters.next().is_none() {
                return Err(invalid(origin, "a word lacks an ="));
            }
            while characters.next_if(|character| character.is_whitespace()).is_some() {}
            let quoted = characters.next_if_eq(&'\'').is_some();
            let mut value = String::new();
            loop {
                match characters.next() {
                    Some('\\') => value.extend(characters.next()),
                    Some('\'') if quoted => break,
                    Some(character) if !quoted && character.is_whitespace() => break,
                    Some(character) => value.push(character),
                    None if quoted => return Err(invalid(origin, "a quote is not closed")),
                    None => break,
                }
            }
            parts.set(word.trim(), value, origin)?;
        }
    }

    fn set(&mut self, word: &str, value: String, origin: &str) -> Result<(), SettingError> {
        let slot = match word {
            "host" => &mut self.host,
            "hostaddr" => &mut self.hostaddr,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "password" => {
                self.password = Some(Secret::new(value));
                return Ok(());
            }
            "dbname" => &mut self.database,
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "connect_timeout" => &mut self.connect_timeout,
            "options" => &mut self.options,
            "sslcert" | "sslkey" | "sslpassword" | "sslcrl" | "service" | "passfile" => {
                return Err(invalid(origin, &format!("`{word}` is not supported; give a user and a password")));
            }
            word if IGNORED.contains(&word) => return Ok(()),
            word => return Err(invalid(origin, &unknown(word))),
        };
        *slot = Some(value);
        Ok(())
    }

    /// What is not encoded in a password ends up elsewhere, where it would be shown and dialled.
    fn refuse_stray_password(&self, origin: &str) -> Result<(), SettingError> {
        let holds = |part: &Option<String>, sign| part.as_ref().is_some_and(|part| part.contains(sign));
        if holds(&self.database, '@') || holds(&self.host, '@') || holds(&self.port, '@') || holds(&self.user, ':') {
            let what = "its parts do not fit together: encode special characters of the password (/ is %2F, ? is %3F, \
                        @ is %40, : is %3A, # is %23)";
            return Err(invalid(origin, what));
        }
        Ok(())
    }

    /// Whether the parts hold a password; a flag must not.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Completes the parts with libpq's defaults, and refuses what is missing or wrong.
    pub fn build(self, origin: &str) -> Result<Endpoint, SettingError> {
        self.refuse_stray_password(origin)?;
        let host = self.host.filter(|host| !host.is_empty()).or_else(|| self.hostaddr.clone());
        let host = host.ok_or_else(|| invalid(origin, "it names no host"))?;
        if host.contains([' ', '/']) && !host.starts_with('/') {
            return Err(invalid(origin, "its host is not a name, an address or a socket's directory"));
        }
        let user = self.user.filter(|user| !user.is_empty()).ok_or_else(|| invalid(origin, "it names no user"))?;
        let database =
            self.database.filter(|name| !name.is_empty()).ok_or_else(|| invalid(origin, "it names no database"))?;
        let port = match self.port.filter(|port| !port.is_empty()) {
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| invalid(origin, "its port is not a number from 1 to 65535"))?,
            None => DEFAULT_PORT,
        };
        let seconds = match self.connect_timeout {
            Some(text) => {
                Some(text.parse().map_err(|_| invalid(origin, "its connect_timeout is not a number of seconds"))?)
            }
            None => None,
        };
        let mode = match self.sslmode.as_deref() {
            Some(word) => Some(word.parse::<SslMode>().map_err(|reason| invalid(origin, &reason))?),
            None => None,
        };
        let roots = match self.sslrootcert.as_deref() {
            Some("system") => Some(Roots::System),
            Some(path) => Some(Roots::File(PathBuf::from(path))),
            None => None,
        };
        let host_address = match self.hostaddr {
            Some(text) => Some(text.parse().map_err(|_| invalid(origin, "its hostaddr is not an IP address"))?),
            None => None,
        };
        Ok(Endpoint {
            tls: TlsPolicy::resolve(mode, roots, &host),
            host,
            host_address,
            port,
            user,
            password: self.password.filter(|password| !password.expose().is_empty()),
            database,
            connect_timeout: seconds
                .filter(|seconds| *seconds > 0)
                .map_or(DEFAULT_CONNECT_TIMEOUT, Duration::from_secs),
            options: self.options,
            tunnel: None,
        })
    }
}

fn decode(text: &str, origin: &str) -> Result<Option<String>, SettingError> {
    if text.is_empty() {
        return Ok(None);
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(Some(decoded.into_owned())),
        Err(_) => Err(invalid(origin, "a %-sequence in it is not UTF-8")),
    }
}

fn invalid(origin: &str, reason: &str) -> SettingError {
    SettingError::Invalid {
        name: origin.into(),
        reason: reason.into(),
        how: Some(format!(
            "correct {origin}; the form is postgresql://user:password@host:port/database?sslmode=…, special characters %-encoded"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Endpoint {
        Endpoint::parse(text, "DATABASE_URL").unwrap()
    }

    #[test]
    fn a_url_is_read() {
        let endpoint = parse(
            "postgres://us%20er:p%40ss@db.example:6543/data?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3",
        );
        assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.user.as_str()), ("db.example", 6543, "us er"));
        assert_eq!(endpoint.password.as_ref().unwrap().expose(), "p@ss");
        assert_eq!(endpoint.tls.mode, SslMode::VerifyFull);
        assert_eq!(endpoint.tls.roots, Roots::File("/ca.pem".into()));
        assert_eq!(endpoint.connect_timeout, Duration::from_secs(3));
        assert_eq!(endpoint.label(), "postgresql://us er@db.example:6543/data");
    }

    #[test]
    fn a_password_that_was_not_encoded_is_read() {
        assert_eq!(parse("postgres://u:p@ss@h/d").password.unwrap().expose(), "p@ss");
    }

    #[test]
    fn keywords_are_read() {
        let endpoint =
            parse(r"host=/tmp user='o''dd' password='it\'s' dbname=d port=1234".replace("o''dd", "odd").as_str());
        assert_eq!((endpoint.host.as_str(), endpoint.password.as_ref().unwrap().expose()), ("/tmp", "it's"));
        assert_eq!(endpoint.tls.mode, SslMode::Disable);
    }

    #[test]
    fn an_ipv6_address_and_a_socket_are_read() {
        assert_eq!(
            (parse("postgres://u@[::1]:99/d").host.as_str(), parse("postgres://u@[::1]:99/d").port),
            ("::1", 99)
        );
        assert_eq!(parse("postgresql://u@/d?host=/run/postgresql").host, "/run/postgresql");
    }

    #[test]
    fn typos_are_named_and_secrets_are_not() {
        for (text, expected) in [
            ("postgre://u:hunter2@h/d", "does not begin with"),
            ("postgres://u:hunter2@h/d?sslmod=require", "unknown word `sslmod`"),
            ("postgres://u:hunter2@h/d?sslmode=requir", "sslmode `requir`"),
            ("postgres://u:hunter2@h", "names no database"),
            ("postgres://:hunter2@h/d", "names no user"),
            ("postgres://u:hunter2@/d", "names no host"),
            ("postgres://u:hunter2@h:port/d", "port is not a number"),
            ("postgres://u:hunter2@h1,h2/d", "several hosts"),
            ("hunter2", "neither a URL"),
        ] {
            let error = Endpoint::parse(text, "DATABASE_URL").unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("DATABASE_URL"), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_shows_its_password(text in "\\PC{0,60}") {
            if let Err(error) = Endpoint::parse(&format!("postgres://u:s3cr3t-{text}"), "DATABASE_URL") {
                prop_assert!(!error.to_string().contains("s3cr3t"));
            }
        }
    }
}
