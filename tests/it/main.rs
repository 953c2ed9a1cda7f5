//! Whole-system tests: the real program, driven over its real listeners by real clients.
//!
//! Reading order: [`world`] starts and stops the program; [`talk`], [`imap`], [`tools`] and
//! [`webdriver`] speak to it; `letter`, `apart`, `outgoing`, `certificates`, `programs`, `clients`,
//! `refusals`, `restart`, `browser`, `first_screen`, `accounts`, `enrolment`, `decrypt_page`,
//! `attacks`, `kill` and `transfer` are the tests, one file per concern.
//!
//! Invariants: nothing of ours is replaced by a double; every wait is a poll with a deadline;
//! nothing leaves this machine. Rejected: linking the server into the test process, which could
//! not be killed and would share one clock, one allocator and one set of locks with its tests.

#[cfg(test)]
mod world;
#[cfg(test)]
mod talk;
#[cfg(test)]
mod imap;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod http;
#[cfg(test)]
mod recorder;
#[cfg(test)]
mod webdriver;

#[cfg(test)]
mod letter;
#[cfg(test)]
mod apart;
#[cfg(test)]
mod outgoing;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod libraries;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod thunderbird;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod first_sync;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod first_screen;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod decrypt_page;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod transfer;
