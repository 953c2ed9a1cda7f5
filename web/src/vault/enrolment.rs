//! Another device brings an account to this browser, and this browser brings another device in.
//!
//! Invariant: keys are handed over only for the words that the user has typed, and taken only when
//! the user has said that they were; `letterlock_core::auth::enrolment` has both sides.

use std::cell::RefCell;

use letterlock_core::account::begin_enrolled;
use letterlock_core::auth::enrolment::{Agreed, Enrolled, Newcomer, Opened as Words, Sponsor};
use letterlock_core::auth::wire::{
    Octets, RendezvousAnswer, RendezvousPut, RendezvousShown, SponsorStep,
};
use letterlock_core::auth::{EnrolmentCode, EnrolmentError, LocalWrap};
use letterlock_core::id::RendezvousId;
use letterlock_core::keys::verification::draw;
use letterlock_core::seal::RootKey;
use letterlock_core::store::SealedStore;
use rand::rngs::OsRng;

use super::account::refused;
use super::device::{self, Known, Opened};
use super::devices::{self, MAX_CONFLICTS, busy, not_judged, octets, put};
use super::exchange::token;
use super::indexeddb_store::IndexedDbStore;
use super::provider::{self, Put};
use super::session::{self, DEVICE_NAME, Session, database, device_store, now, storage};
use super::signal::pause;
use crate::protocol::{Changed, Failure, JoinCode, Joined, Secret};

/// How often the other device's message is asked for, in milliseconds.
const ASK_EVERY_MS: i32 = 1000;
/// How often it is asked for of a device that shows a code and answers by itself.
const ANSWER_TRIES: u32 = 60;
/// The same, where its user has to do something: for ten minutes.
const USER_TRIES: u32 = 600;

/// An attempt of this browser to come to an account.
struct Attempt {
    number: u32,
    stage: Stage,
}

enum Stage {
    Shown(Newcomer),
    Compared(Words),
}

thread_local! {
    static ATTEMPT: RefCell<Option<Attempt>> = const { RefCell::new(None) };
}

/// Makes this browser's code.
pub fn begin(number: u32) -> Joined {
    let newcomer = Newcomer::start(DEVICE_NAME, now(), &mut OsRng);
    let text = newcomer.code().text();
    let drawn = draw(&text);
    let stage = Stage::Shown(newcomer);
    ATTEMPT.replace(Some(Attempt { number, stage }));
    Joined::Code(JoinCode {
        text: Secret(text.to_string()),
        code_side: drawn.as_ref().map_or(0, |code| code.side),
        code_path: drawn.map(|code| code.path).unwrap_or_default(),
    })
}

/// Gives this attempt up.
pub fn end(number: u32) {
    if is_current(number) {
        ATTEMPT.take();
    }
}

/// Waits until another device has seen the code, and answers it.
pub async fn words(number: u32) -> Result<Joined, Failure> {
    let id = rendezvous(number)?;
    let going = || is_current(number);
    let hello = wait(id, USER_TRIES, going, |shown| shown.hello).await?;
    let Some(Stage::Shown(newcomer)) = take(number) else {
        return Err(Failure::NotFound);
    };
    let (words, opening) = newcomer
        .handle_hello(&hello, now(), &mut OsRng)
        .map_err(failed)?;
    let store = device_store().await?;
    let known = device::known(&store, words.address()).await;
    if known.map_err(storage)?.is_some() {
        let text = "This browser has the account already: log in with your password.";
        return Err(Failure::Refused(text.to_owned()));
    }
    let message = opening.into();
    provider::answer_rendezvous(id, &RendezvousAnswer { message })
        .await
        .map_err(refused)?;
    let joined = Joined::Words {
        address: words.address().as_str().to_owned(),
        words: words.words(),
    };
    let stage = Stage::Compared(words);
    ATTEMPT.replace(Some(Attempt { number, stage }));
    Ok(joined)
}

/// The user has seen that the words were taken: waits for the account, and opens it.
pub async fn finish(number: u32, password: &Secret, tab: Secret) -> Result<Session, Failure> {
    let id = rendezvous(number)?;
    let going = || is_current(number);
    let handover = wait(id, USER_TRIES, going, |shown| shown.handover).await?;
    let Some(Stage::Compared(words)) = take(number) else {
        return Err(Failure::NotFound);
    };
    let enrolled = words.confirm().handle_handover(&handover, now());
    open(&enrolled.map_err(failed)?, password, tab).await
}

/// Opens the account in this browser, logs in by this browser's key, and remembers it.
async fn open(enrolled: &Enrolled, password: &Secret, tab: Secret) -> Result<Session, Failure> {
    let (account, epoch) = (enrolled.account, enrolled.epoch);
    let root = enrolled.root.octets();
    let wrap = LocalWrap::seal(&password.0, account, epoch, root, &mut OsRng);
    let wrap = wrap.map_err(|_| Failure::Refused("This password is too long.".to_owned()))?;
    let known = Known {
        address: enrolled.address.clone(),
        account,
        device: enrolled.device.id,
        wrap,
    };
    let opened = Opened {
        root: RootKey::from_octets(*root),
        epoch,
    };
    let store = IndexedDbStore::open(&database(&known))
        .await
        .map_err(storage)?;
    // Nobody has a key to what an attempt that failed has left.
    store.clear().await.map_err(storage)?;
    let store = SealedStore::new(store, enrolled.keys().store_key());
    begin_enrolled(&store, enrolled.device.id, &enrolled.key)
        .await
        .map_err(storage)?;
    drop(store);
    let session = session::open(known, &opened, tab, None).await?;
    if !devices::log_in_again(&session)
        .await
        .map_err(not_exchanged)?
    {
        return Err(failed(EnrolmentError::OldList));
    }
    let token = token(&session).map_err(refused)?;
    let shown = provider::devices(&token).await.map_err(refused)?.list;
    let listed = session
        .account
        .enrolled(octets(shown.as_ref()), enrolled, now());
    listed.await.map_err(not_judged)?;
    let store = device_store().await?;
    session::keep(&store, &session.known, &opened, &session.tab).await?;
    Ok(session)
}

/// Greets the device that shows this code, and waits for its answer.
pub async fn greet(session: &Session, code: &Secret) -> Result<Changed, Failure> {
    let code = EnrolmentCode::parse(&code.0).map_err(failed)?;
    let id = code.rendezvous();
    let address = session.account.address();
    let greeted = Sponsor::start(code, address, now(), &mut OsRng);
    let (sponsor, hello) = greeted.map_err(failed)?;
    leave(session, id, (SponsorStep::Hello, hello)).await?;
    let going = || !session.closed.get();
    let opening = wait(id, ANSWER_TRIES, going, |shown| shown.opening).await?;
    let comparing = sponsor.handle_opening(&opening, now()).map_err(failed)?;
    let name = comparing.device_name().to_owned();
    session.sponsoring.replace(Some(comparing));
    Ok(Changed::DeviceAsks(name))
}

/// Brings it in, if these are the words that it shows.
pub async fn admit(session: &Session, typed: &str) -> Result<Changed, Failure> {
    let compared = match session.sponsoring.borrow_mut().as_mut() {
        Some(comparing) => comparing.compare(typed, now()),
        None => return Err(Failure::NotFound),
    };
    match compared {
        Ok(agreed) => {
            list_and_hand_over(session, &agreed).await?;
            session.sponsoring.replace(None);
            Ok(Changed::DeviceAdded)
        }
        Err(error) => {
            let again = error == EnrolmentError::WrongWords;
            if !again {
                // The newcomer finds out by itself if it cannot be told.
                refuse(session).await.ok();
            }
            let text = failed(error).to_string();
            Ok(Changed::WrongWords { text, again })
        }
    }
}

/// Tells the newcomer that nothing comes.
pub async fn refuse(session: &Session) -> Result<Changed, Failure> {
    if let Some(comparing) = session.sponsoring.take() {
        let id = comparing.code().rendezvous();
        let message = comparing.refuse(&mut OsRng).map_err(failed)?;
        leave(session, id, (SponsorStep::Handover, message)).await?;
    }
    Ok(Changed::DeviceRefused)
}

async fn list_and_hand_over(session: &Session, agreed: &Agreed) -> Result<(), Failure> {
    let account = &session.account;
    for _ in 0..MAX_CONFLICTS {
        let token = token(session).map_err(refused)?;
        let shown = provider::devices(&token).await.map_err(refused)?.list;
        let shown = octets(shown.as_ref());
        let list = account.admit_device(shown, agreed.listed(now()), now());
        let list = list.await.map_err(not_judged)?;
        if shown != Some(list.octets()) {
            let put = put(&list, None);
            let done = provider::put_devices(&token, &put).await.map_err(refused)?;
            if done != Put::Done {
                continue;
            }
        }
        let kept = account.keep_device_list(&list, now()).await;
        kept.map_err(super::mail::failed)?;
        let id = agreed.code().rendezvous();
        let message = agreed.hand_over(account.keys(), &list, &mut OsRng);
        let message = message.map_err(failed)?;
        return leave(session, id, (SponsorStep::Handover, message)).await;
    }
    Err(busy())
}

async fn leave(
    session: &Session,
    id: RendezvousId,
    (step, message): (SponsorStep, Vec<u8>),
) -> Result<(), Failure> {
    let token = token(session).map_err(refused)?;
    let message = message.into();
    let put = RendezvousPut { step, message };
    provider::put_rendezvous(&token, id, &put)
        .await
        .map_err(refused)
}

/// Asks until the message is there. A provider that is away is asked again.
async fn wait(
    id: RendezvousId,
    tries: u32,
    going: impl Fn() -> bool,
    pick: impl Fn(RendezvousShown) -> Option<Octets>,
) -> Result<Vec<u8>, Failure> {
    for _ in 0..tries {
        match provider::rendezvous(id).await.map(&pick) {
            Ok(Some(message)) => return Ok(message.0),
            Err(error) if !error.is_passing() => return Err(refused(error)),
            Ok(None) | Err(_) => pause(ASK_EVERY_MS).await,
        }
        if !going() {
            return Err(Failure::NotFound);
        }
    }
    Err(failed(EnrolmentError::Expired))
}

fn is_current(number: u32) -> bool {
    ATTEMPT.with_borrow(|attempt| {
        let number_of = attempt.as_ref().map(|attempt| attempt.number);
        number_of == Some(number)
    })
}

fn rendezvous(number: u32) -> Result<RendezvousId, Failure> {
    ATTEMPT
        .with_borrow(|attempt| {
            let attempt = attempt.as_ref().filter(|attempt| attempt.number == number);
            attempt.map(|attempt| match &attempt.stage {
                Stage::Shown(newcomer) => newcomer.code().rendezvous(),
                Stage::Compared(words) => words.code().rendezvous(),
            })
        })
        .ok_or(Failure::NotFound)
}

fn take(number: u32) -> Option<Stage> {
    ATTEMPT
        .with_borrow_mut(|attempt| attempt.take_if(|attempt| attempt.number == number))
        .map(|attempt| attempt.stage)
}

fn failed(error: EnrolmentError) -> Failure {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    let rest = characters.as_str();
    Failure::Refused(format!(
        "{}{rest}.",
        first.into_iter().flatten().collect::<String>()
    ))
}

fn not_exchanged(error: super::exchange::ExchangeError) -> Failure {
    match error {
        super::exchange::ExchangeError::Provider(error) => refused(error),
        error => Failure::Refused(format!("It was not done: {error}.")),
    }
}
