//! The grammar's small words (RFC 3501 9): atoms, strings, numbers, sets, names, flags.
//!
//! Invariant: every function leaves the cursor behind what it read, or fails for good.

use std::collections::VecDeque;

use letterlock_core::id::{HIERARCHY_SEPARATOR, MailboxName};
use letterlock_core::model::{Flag, FlagSet, MAX_FLAGS_PER_MESSAGE};

use super::Syntax;
use crate::imap::command::{MailboxArgument, MetadataOf, PartialRange, Tag};
use crate::imap::date::{self, Date};
use crate::imap::set::{Bound, MAX_RANGES, Range};
use crate::imap::utf7::{self, Names};

/// Longest tag accepted, in octets.
const MAX_TAG: usize = 256;

/// Highest mod-sequence (RFC 7162 7).
const MAX_MOD_SEQ: u64 = i64::MAX as u64;

type Parsed<T> = Result<T, Syntax>;

/// Reads one command: its text with the literal markers in it, and the literals.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    literals: VecDeque<Vec<u8>>,
    starved: bool,
    names: Names,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a [u8], literals: VecDeque<Vec<u8>>) -> Self {
        Self {
            rest: line,
            literals,
            starved: false,
            names: Names::default(),
        }
    }

    /// Whether a literal was asked for that has not come yet.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    /// Whether the last thing is a literal that has not come: `["~"] "{" number ["+"] "}" CRLF`.
    pub(super) fn at_announcement(&self) -> bool {
        let marker = self.rest.strip_prefix(b"~").unwrap_or(self.rest);
        let first_end = marker.iter().position(|octet| *octet == b'\n');
        marker.first() == Some(&b'{')
            && self.literals.is_empty()
            && first_end.and_then(|end| end.checked_add(1)) == Some(marker.len())
    }

    /// Whether a list comes next, behind a space.
    pub(super) fn at_list(&self) -> bool {
        self.rest.starts_with(b" (")
    }

    /// Whether a list comes next that begins with a name, as options do.
    pub(super) fn at_options(&self) -> bool {
        let second = self.rest.get(1);
        self.rest.starts_with(b"(") && second.is_some_and(u8::is_ascii_alphabetic)
    }

    /// Whether nothing but spaces is left.
    pub(super) fn at_end(&self) -> bool {
        self.rest.iter().all(|octet| *octet == b' ')
    }

    /// The same, with mailbox names in this form.
    pub(super) fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes the octet if it is next.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes the octet if it is next and the other one follows.
    pub(super) fn eat_before(&mut self, octet: u8, next: u8) -> bool {
        let follows = self.rest.get(1) == Some(&next);
        follows && self.eat(octet)
    }

    pub(super) fn expect(&mut self, octet: u8, otherwise: &'static str) -> Parsed<()> {
        if self.eat(octet) {
            Ok(())
        } else {
            Err(Syntax::Bad(otherwise))
        }
    }

    /// `SP`
    pub(super) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "an argument is missing")
    }

    /// The end of the command. Spaces before it are let pass: several programs send them.
    pub(super) fn end(&mut self) -> Parsed<()> {
        while self.eat(b' ') {}
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Syntax::Bad("too many arguments"))
        }
    }

    pub(super) fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self
            .rest
            .iter()
            .position(|octet| !belongs(*octet))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// `tag = 1*<any ASTRING-CHAR except "+">`, then `SP`
    pub(super) fn tag(&mut self) -> Parsed<Tag> {
        let tag = text(self.take_while(|octet| is_astring_char(octet) && octet != b'+'))?;
        if tag.is_empty() || tag.len() > MAX_TAG || !self.eat(b' ') {
            return Err(Syntax::Bad("a tag and a command are needed"));
        }
        Ok(Tag(tag.to_owned()))
    }

    /// `atom = 1*ATOM-CHAR`
    pub(super) fn atom(&mut self) -> Parsed<&'a str> {
        let atom = text(self.take_while(is_atom_char))?;
        if atom.is_empty() {
            Err(Syntax::Bad("an atom is needed"))
        } else {
            Ok(atom)
        }
    }

    /// An atom whose case does not matter, in upper case.
    pub(super) fn word(&mut self) -> Parsed<String> {
        self.atom().map(str::to_ascii_uppercase)
    }

    /// `number = 1*DIGIT`, 32 bits
    pub(super) fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.number64()?).map_err(|_| Syntax::Bad("number is too large"))
    }

    /// `number64 = 1*DIGIT`, 63 bits (RFC 9051 9): sizes may pass 32 bits.
    pub(super) fn number64(&mut self) -> Parsed<u64> {
        let digits = text(self.take_while(|octet| octet.is_ascii_digit()))?;
        if digits.is_empty() {
            return Err(Syntax::Bad("a number is needed"));
        }
        digits
            .parse()
            .map_err(|_| Syntax::Bad("number is too large"))
    }

    /// `mod-sequence-valzer = "0" / mod-sequence-value`: 63 bits (RFC 7162 7). Zero is let pass
    /// where the grammar wants more: it means "from the beginning" to the programs that send it.
    pub(super) fn mod_seq(&mut self) -> Parsed<u64> {
        let number = self.number64()?;
        if number > MAX_MOD_SEQ {
            return Err(Syntax::Bad("a mod-sequence has 63 bits"));
        }
        Ok(number)
    }

    /// `nz-number = digit-nz *DIGIT`
    pub(super) fn nz_number(&mut self) -> Parsed<u32> {
        match self.number()? {
            0 => Err(Syntax::Bad("number must not be 0")),
            number => Ok(number),
        }
    }

    /// `string = quoted / literal`
    pub(super) fn string(&mut self) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Err(Syntax::Bad("a string is needed")),
        }
    }

    /// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`; octets above 127 are let pass, the reader of the
    /// string judges them.
    fn quoted(&mut self) -> Parsed<Vec<u8>> {
        self.expect(b'"', "a string is needed")?;
        let mut out = Vec::new();
        loop {
            out.extend_from_slice(
                self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n' | 0)),
            );
            match self.rest.split_first() {
                Some((b'"', rest)) => {
                    self.rest = rest;
                    // RFC 6855 3, RFC 9051 4.3: octets above 127 are UTF-8 or an error.
                    if std::str::from_utf8(&out).is_err() {
                        return Err(Syntax::Bad("a quoted string is not in UTF-8"));
                    }
                    return Ok(out);
                }
                Some((b'\\', rest)) => match rest.split_first() {
                    Some((octet @ (b'"' | b'\\'), rest)) => {
                        out.push(*octet);
                        self.rest = rest;
                    }
                    _ => return Err(Syntax::Bad("only \" and \\ are quoted with \\")),
                },
                _ => return Err(Syntax::Bad("a quoted string does not end")),
            }
        }
    }

    /// `literal = "{" number ["+"] "}" CRLF *CHAR8`
    pub(super) fn literal(&mut self) -> Parsed<Vec<u8>> {
        const FORM: Syntax = Syntax::Bad("a literal is needed");
        self.expect(b'{', "a literal is needed")?;
        self.take_while(|octet| octet.is_ascii_digit());
        self.eat(b'+');
        if !(self.eat(b'}') && self.eat(b'\r') && self.eat(b'\n')) {
            return Err(FORM);
        }
        let literal = self.literals.pop_front();
        self.starved |= literal.is_none();
        literal.ok_or(FORM)
    }

    /// `astring = 1*ASTRING-CHAR / string`
    pub(super) fn astring(&mut self) -> Parsed<Vec<u8>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string();
        }
        let atom = self.take_while(is_astring_char);
        if atom.is_empty() {
            Err(Syntax::Bad("a string is needed"))
        } else {
            Ok(atom.to_vec())
        }
    }

    /// `nstring = string / nil`
    pub(super) fn nstring(&mut self) -> Parsed<Option<Vec<u8>>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string().map(Some);
        }
        match self.word()?.as_str() {
            "NIL" => Ok(None),
            _ => Err(Syntax::Bad("a string or NIL is needed")),
        }
    }

    /// `list-mailbox = 1*list-char / string`, in UTF-8
    pub(super) fn list_mailbox(&mut self) -> Parsed<String> {
        let octets = if matches!(self.peek(), Some(b'"' | b'{')) {
            self.string()?
        } else {
            let list_char = |octet| is_astring_char(octet) || matches!(octet, b'%' | b'*');
            let octets = self.take_while(list_char);
            if octets.is_empty() {
                return Err(Syntax::Bad("a mailbox pattern is needed"));
            }
            octets.to_vec()
        };
        // A pattern that is not well formed names nothing; U+FFFD is in no mailbox name then.
        let pattern = utf7::read(&octets, self.names);
        Ok(pattern.unwrap_or_else(|| char::REPLACEMENT_CHARACTER.into()))
    }

    /// `mailbox = "INBOX" / astring`
    pub(super) fn mailbox(&mut self) -> Parsed<MailboxArgument> {
        let octets = self.astring()?;
        Ok(self.named(&octets))
    }

    /// `mailbox`, which may be empty: then the server is meant (RFC 5464 4.1).
    pub(super) fn mailbox_or_server(&mut self) -> Parsed<MetadataOf> {
        let octets = self.astring()?;
        Ok(if octets.is_empty() {
            MetadataOf::Server
        } else {
            MetadataOf::Mailbox(self.named(&octets))
        })
    }

    fn named(&self, octets: &[u8]) -> MailboxArgument {
        let name = utf7::read(octets, self.names);
        // CREATE "a/" announces children (RFC 3501 6.3.3); here every mailbox can have them.
        let name = name
            .as_deref()
            .map(|name| name.strip_suffix(HIERARCHY_SEPARATOR).unwrap_or(name));
        let name = name.and_then(|name| MailboxName::new(name).ok());
        name.map_or(MailboxArgument::Impossible, MailboxArgument::Name)
    }

    /// `"(" [item *(SP item)] ")"`
    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(b'(', "a list is needed")?;
        let mut items = Vec::new();
        if self.eat(b')') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(b')') {
                return Ok(items);
            }
            self.space()?;
        }
    }

    /// `sequence-set = (seq-number / seq-range) *("," sequence-set)`
    pub(super) fn ranges(&mut self) -> Parsed<Vec<Range>> {
        let mut ranges = Vec::new();
        loop {
            let from = self.bound()?;
            let to = if self.eat(b':') { self.bound()? } else { from };
            if ranges.len() >= MAX_RANGES {
                return Err(Syntax::Bad("set has too many ranges"));
            }
            ranges.push(Range { from, to });
            if !self.eat(b',') {
                return Ok(ranges);
            }
        }
    }

    /// `seq-number = nz-number / "*"`
    pub(super) fn bound(&mut self) -> Parsed<Bound> {
        if self.eat(b'*') {
            Ok(Bound::Last)
        } else {
            self.nz_number().map(Bound::Number)
        }
    }

    /// `partial-range = nz-number ":" nz-number / MINUS nz-number ":" MINUS nz-number`
    /// (RFC 9394 4)
    pub(super) fn partial_range(&mut self) -> Parsed<PartialRange> {
        const FORM: &str = "a range such as 1:100 or -1:-100 is needed";
        let from_end = self.eat(b'-');
        let from = self.nz_number()?;
        self.expect(b':', FORM)?;
        if from_end {
            self.expect(b'-', FORM)?;
        }
        let to = self.nz_number()?;
        Ok(PartialRange { from, to, from_end })
    }

    /// `flag = "\Answered" / ... / flag-keyword`; `None` for `\Recent`, which nobody can set and
    /// which programs send back all the same.
    pub(super) fn flag(&mut self) -> Parsed<Option<Flag>> {
        let backslash = if self.eat(b'\\') { "\\" } else { "" };
        let name = format!("{backslash}{}", self.atom()?);
        if name.eq_ignore_ascii_case("\\Recent") {
            return Ok(None);
        }
        Flag::parse(&name)
            .map(Some)
            .map_err(|_| Syntax::Bad("flag is not known"))
    }

    /// `flag-list = "(" [flag *(SP flag)] ")"`
    pub(super) fn flag_list(&mut self) -> Parsed<FlagSet> {
        let flags: FlagSet = self.list(Self::flag)?.into_iter().flatten().collect();
        bounded(flags)
    }

    /// `flag *(SP flag)`
    pub(super) fn bare_flags(&mut self) -> Parsed<FlagSet> {
        let mut flags: FlagSet = self.flag()?.into_iter().collect();
        while self.eat(b' ') {
            flags.extend(self.flag()?);
        }
        bounded(flags)
    }

    /// `date = date-text / DQUOTE date-text DQUOTE`
    pub(super) fn date(&mut self) -> Parsed<Date> {
        let octets = self.astring()?;
        date::parse_date(text(&octets)?).ok_or(Syntax::Bad("a date such as 1-Feb-1994 is needed"))
    }
}

fn bounded(flags: FlagSet) -> Parsed<FlagSet> {
    if flags.len() > MAX_FLAGS_PER_MESSAGE {
        return Err(Syntax::Bad("too many flags"));
    }
    Ok(flags)
}

fn text(octets: &[u8]) -> Parsed<&str> {
    std::str::from_utf8(octets).map_err(|_| Syntax::Bad("only ASCII stands here"))
}

/// `ATOM-CHAR = <any CHAR except atom-specials>`
pub(super) fn is_atom_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet)
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials`
fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}
