//! `armor` and `dearmor`.

use std::io::{Read, Write};

use letterlock_core::openpgp::armor;
use sop::Result;
use sop::errors::Error;
use sop::ops::{self, ArmorLabel, Ready};

use super::{MAX_DOCUMENT_OCTETS, read_document};

/// `armor`
pub(super) struct Wrap;

impl<'s> ops::Armor<'s> for Wrap {
    fn label(self: Box<Self>, _: ArmorLabel) -> Box<dyn ops::Armor<'s> + 's> {
        // The draft has given the choice up: the octets tell.
        self
    }

    fn data<'d>(
        self: Box<Self>,
        data: &'d mut (dyn Read + Send + Sync),
    ) -> Result<Box<dyn Ready + 'd>>
    where
        's: 'd,
    {
        let octets = read_document(data)?;
        if octets.starts_with(b"-----BEGIN PGP ") {
            return Ok(Box::new(Octets(octets)));
        }
        let armored = armor::wrap(&octets).ok_or(Error::BadData)?;
        Ok(Box::new(Octets(armored)))
    }
}

/// `dearmor`
pub(super) struct Unwrap;

impl<'s> ops::Dearmor<'s> for Unwrap {
    fn data<'d>(
        self: Box<Self>,
        data: &'d mut (dyn Read + Send + Sync),
    ) -> Result<Box<dyn Ready + 'd>>
    where
        's: 'd,
    {
        let octets = read_document(data)?;
        if octets.first().is_some_and(|first| first & 0x80 != 0) {
            return Ok(Box::new(Octets(octets)));
        }
        let most = usize::try_from(MAX_DOCUMENT_OCTETS).unwrap_or(usize::MAX);
        let binary = armor::unwrap(&octets, most).ok_or(Error::BadData)?;
        Ok(Box::new(Octets(binary)))
    }
}

struct Octets(Vec<u8>);

impl Ready for Octets {
    fn to_writer(self: Box<Self>, sink: &mut (dyn Write + Send + Sync)) -> Result<()> {
        Ok(sink.write_all(&self.0)?)
    }
}
