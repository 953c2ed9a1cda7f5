//! SMTP commands (RFC 5321 4.1) and the parameters of the extensions offered.
//!
//! Invariant: a [`Command`] that exists is well-formed. Source routes are accepted and dropped
//! (RFC 5321 4.1.1.3). Rejected: the parser of a crate; the grammar is small, and the ones that
//! exist also take bare LF and unquoted control characters.

use letterlock_core::id::Address;

/// Where a failure report goes (RFC 5321 4.1.2 `Reverse-path`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: nowhere. The message is itself a report.
    Null,
    /// An address.
    Address(Address),
}

/// A recipient as written (RFC 5321 4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<Postmaster>`, of the server's own domain (RFC 5321 4.5.1).
    Postmaster,
    /// An address.
    Address(Address),
}

/// `BODY` of RFC 6152. Both are taken as they come: the server is 8-bit clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// `BODY=7BIT`, or nothing said.
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// Whether addresses and header may be UTF-8 (RFC 6531).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// US-ASCII alone.
    Ascii,
    /// `SMTPUTF8` was given.
    Utf8,
}

/// What `MAIL` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub reverse_path: ReversePath,
    /// Octets announced by `SIZE` (RFC 1870).
    pub size: Option<u64>,
    /// `BODY`.
    pub body: Body,
    /// `SMTPUTF8`.
    pub text: Text,
}

/// A SASL mechanism of RFC 4954.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// The undocumented but widely used user name and password dialogue.
    Login,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `EHLO domain`
    Ehlo(String),
    /// `HELO domain`
    Helo(String),
    /// `LHLO domain` (RFC 2033 4.1)
    Lhlo(String),
    /// `AUTH mechanism [initial-response]`; the response is still base64.
    Auth(Mechanism, Option<String>),
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `MAIL FROM:<…>`
    Mail(Mail),
    /// `RCPT TO:<…>`
    Rcpt(ForwardPath),
    /// `DATA`
    Data,
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `VRFY`
    Vrfy,
    /// `HELP`
    Help,
    /// `QUIT`
    Quit,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The verb is not known.
    #[error("unknown command")]
    UnknownCommand,
    /// The verb is known, what follows is not well-formed.
    #[error("syntax error in arguments")]
    Arguments,
    /// A parameter of `MAIL` or `RCPT` is not known (RFC 5321 4.1.1.11).
    #[error("unknown parameter")]
    UnknownParameter,
    /// The mechanism of `AUTH` is not offered.
    #[error("unknown mechanism")]
    UnknownMechanism,
    /// The address is not one.
    #[error("bad address")]
    Address,
}

impl Command {
    /// Parses a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| CommandError::Arguments)?;
        if line.contains(char::is_control) {
            return Err(CommandError::Arguments);
        }
        // Trailing blanks are tolerated (RFC 5321 4.1.1).
        let line = line.trim_end_matches(' ');
        let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let arguments = arguments.trim_start_matches(' ');
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => domain(arguments).map(Self::Ehlo),
            "HELO" => domain(arguments).map(Self::Helo),
            "LHLO" => domain(arguments).map(Self::Lhlo),
            "AUTH" => auth(arguments),
            "STARTTLS" => alone(arguments, Self::StartTls),
            "MAIL" => mail(arguments).map(Self::Mail),
            "RCPT" => rcpt(arguments).map(Self::Rcpt),
            "DATA" => alone(arguments, Self::Data),
            "RSET" => alone(arguments, Self::Rset),
            "QUIT" => alone(arguments, Self::Quit),
            "NOOP" => Ok(Self::Noop),
            "VRFY" => Ok(Self::Vrfy),
            "HELP" => Ok(Self::Help),
            _ => Err(CommandError::UnknownCommand),
        }
    }
}

fn alone(arguments: &str, command: Command) -> Result<Command, CommandError> {
    match arguments {
        "" => Ok(command),
        _ => Err(CommandError::Arguments),
    }
}

/// ```text
/// ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
/// ```
/// Clients put all sorts of names here; any single word is taken.
fn domain(arguments: &str) -> Result<String, CommandError> {
    match arguments {
        "" => Err(CommandError::Arguments),
        name if name.contains(' ') => Err(CommandError::Arguments),
        name => Ok(name.to_owned()),
    }
}

/// ```text
/// auth-command = "AUTH" SP sasl-mech [SP initial-response]    ; RFC 4954 8
/// ```
fn auth(arguments: &str) -> Result<Command, CommandError> {
    let (name, response) = match arguments.split_once(' ') {
        Some((name, response)) => (name, Some(response.trim_start_matches(' '))),
        None => (arguments, None),
    };
    let mechanism = match name.to_ascii_uppercase().as_str() {
        "PLAIN" => Mechanism::Plain,
        "LOGIN" => Mechanism::Login,
        "" => return Err(CommandError::Arguments),
        _ => return Err(CommandError::UnknownMechanism),
    };
    Ok(Command::Auth(mechanism, response.map(str::to_owned)))
}

/// ```text
/// mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
/// ```
fn mail(arguments: &str) -> Result<Mail, CommandError> {
    let (path, parameters) = path_after("FROM:", arguments)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        address => ReversePath::Address(mailbox(address)?),
    };
    let mut mail = Mail {
        reverse_path,
        size: None,
        body: Body::SevenBit,
        text: Text::Ascii,
    };
    for parameter in parameters.split(' ').filter(|p| !p.is_empty()) {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        match (keyword.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) => {
                mail.size = Some(value.parse().map_err(|_| CommandError::Arguments)?);
            }
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") => {
                mail.body = Body::SevenBit;
            }
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("8BITMIME") => {
                mail.body = Body::EightBitMime;
            }
            ("SMTPUTF8", None) => mail.text = Text::Utf8,
            // RFC 4954 5: an identity to pass on; this server passes on its own.
            ("AUTH", Some(_)) => {}
            ("SIZE" | "BODY" | "SMTPUTF8" | "AUTH", _) => return Err(CommandError::Arguments),
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    Ok(mail)
}

/// ```text
/// rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path )
///        [SP Rcpt-parameters] CRLF
/// ```
fn rcpt(arguments: &str) -> Result<ForwardPath, CommandError> {
    let (path, parameters) = path_after("TO:", arguments)?;
    if !parameters.trim_matches(' ').is_empty() {
        return Err(CommandError::UnknownParameter);
    }
    if path.eq_ignore_ascii_case("postmaster") {
        return Ok(ForwardPath::Postmaster);
    }
    mailbox(path).map(ForwardPath::Address)
}

/// Cuts `FROM:<path>` or `TO:<path>` into the path without brackets, and the rest. A blank
/// after the colon is wrong but common.
fn path_after<'a>(keyword: &str, arguments: &'a str) -> Result<(&'a str, &'a str), CommandError> {
    let (head, rest) = arguments
        .split_at_checked(keyword.len())
        .ok_or(CommandError::Arguments)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(CommandError::Arguments);
    }
    let rest = rest
        .trim_start_matches(' ')
        .strip_prefix('<')
        .ok_or(CommandError::Arguments)?;
    let end = closing_bracket(rest).ok_or(CommandError::Arguments)?;
    let (path, rest) = rest.split_at_checked(end).ok_or(CommandError::Arguments)?;
    let rest = rest.strip_prefix('>').unwrap_or(rest);
    if rest.is_empty() || rest.starts_with(' ') {
        Ok((path, rest))
    } else {
        Err(CommandError::Arguments)
    }
}

/// The `>` that is not inside a quoted local part.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// ```text
/// Path = "<" [ A-d-l ":" ] Mailbox ">"
/// ```
fn mailbox(path: &str) -> Result<Address, CommandError> {
    let mailbox = match path.strip_prefix('@') {
        Some(route) => route.split_once(':').ok_or(CommandError::Address)?.1,
        None => path,
    };
    Address::new(mailbox).map_err(|_| CommandError::Address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::new(text).unwrap()
    }

    #[test]
    fn commands_are_parsed() {
        let check = |line: &str, expected| assert_eq!(Command::parse(line.as_bytes()), expected);
        check("ehlo [127.0.0.1]", Ok(Command::Ehlo("[127.0.0.1]".into())));
        check("LHLO a  ", Ok(Command::Lhlo("a".into())));
        check("EHLO", Err(CommandError::Arguments));
        check("DATA", Ok(Command::Data));
        check("DATA now", Err(CommandError::Arguments));
        check("NOOP whatever", Ok(Command::Noop));
        check("BDAT 5 LAST", Err(CommandError::UnknownCommand));
        check(
            "AUTH plain AGEAYg==",
            Ok(Command::Auth(Mechanism::Plain, Some("AGEAYg==".into()))),
        );
        check("AUTH CRAM-MD5", Err(CommandError::UnknownMechanism));
        check("NOOP \u{7}", Err(CommandError::Arguments));
    }

    #[test]
    fn reverse_paths_and_parameters() {
        let parse = |line: &str| match Command::parse(line.as_bytes()) {
            Ok(Command::Mail(mail)) => Ok(mail),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        let mail = parse("MAIL FROM:<a@b.example> SIZE=12 body=8bitmime SMTPUTF8 AUTH=<>").unwrap();
        assert_eq!(mail.size, Some(12));
        assert_eq!(mail.body, Body::EightBitMime);
        assert_eq!(mail.text, Text::Utf8);
        assert_eq!(
            parse("MAIL FROM:<>").unwrap().reverse_path,
            ReversePath::Null
        );
        assert_eq!(
            parse("mail from: <@x,@y:a@b.example>")
                .unwrap()
                .reverse_path,
            ReversePath::Address(address("a@b.example"))
        );
        assert_eq!(
            parse("MAIL FROM:<\"a>b\"@c.example>").unwrap().reverse_path,
            ReversePath::Address(address("\"a>b\"@c.example"))
        );
        for (line, error) in [
            ("MAIL", CommandError::Arguments),
            ("MAIL FROM", CommandError::Arguments),
            ("MAIL FROM:a@b", CommandError::Arguments),
            ("MAIL FROM:<a@b", CommandError::Arguments),
            ("MAIL FROM:<a@b>x", CommandError::Arguments),
            ("MAIL FROM:<a b>", CommandError::Address),
            ("MAIL FROM:<a@b> SIZE=x", CommandError::Arguments),
            ("MAIL FROM:<a@b> SIZE", CommandError::Arguments),
            ("MAIL FROM:<a@b> RET=HDRS", CommandError::UnknownParameter),
            ("MAIL FROM:<\"a>", CommandError::Arguments),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
    }

    #[test]
    fn forward_paths() {
        let parse = |line: &str| Command::parse(line.as_bytes());
        assert_eq!(
            parse("RCPT TO:<POSTMASTER>"),
            Ok(Command::Rcpt(ForwardPath::Postmaster))
        );
        assert_eq!(
            parse("RCPT TO:<a@B.example>"),
            Ok(Command::Rcpt(ForwardPath::Address(address("a@b.example"))))
        );
        assert_eq!(parse("RCPT TO:<>"), Err(CommandError::Address));
        assert_eq!(
            parse("RCPT TO:<a@b> NOTIFY=NEVER"),
            Err(CommandError::UnknownParameter)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic(line in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn no_arguments_panic(rest in "(MAIL FROM|RCPT TO|AUTH)[ :<>@\",=a-zä]{0,40}") {
            let _ = Command::parse(rest.as_bytes());
        }
    }
}
