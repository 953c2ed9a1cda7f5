//! Both sides, and whoever stands between them.

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::auth::devices::{DeviceList, ListedDevice};
use crate::auth::{DeviceKey, SignedDeviceList};
use crate::id::{AccountId, Address, ReplicaId};
use crate::keys::verification::draw;
use crate::seal::{AccountKeys, RootKey};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const END: Timestamp = Timestamp::from_millis(1_800_000_000_000 + ENROLMENT_MS);

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn alice() -> Address {
    Address::new("Alice@letterlock.example").unwrap()
}

fn keys(root: u8) -> AccountKeys {
    let root = RootKey::from_octets([root; 32]);
    AccountKeys::derive(AccountId::new([1; 16]), 1, &root)
}

fn first_list() -> DeviceList {
    DeviceList::first(ListedDevice {
        id: ReplicaId::new([9; 16]),
        key: DeviceKey::generate(&mut rng(99)).public_key(),
        added_at: NOW,
        name: "bridge".to_owned(),
        recipient: None,
    })
}

/// The newcomer's list, signed.
fn listed(agreed: &Agreed) -> SignedDeviceList {
    let next = first_list().with(agreed.listed(NOW)).unwrap().unwrap();
    next.sign(&keys(5), &mut rng(3)).unwrap()
}

fn newcomer(seed: u64) -> Newcomer {
    Newcomer::start("a new phone", NOW, &mut rng(seed))
}

fn greet(newcomer: &Newcomer, seed: u64) -> (Sponsor, Vec<u8>) {
    let code = EnrolmentCode::parse(&newcomer.code().text()).unwrap();
    Sponsor::start(code, &alice(), NOW, &mut rng(seed)).unwrap()
}

/// Both sides before the words, and what was sent.
fn met(seed: u64) -> (Opened, Comparing, [Vec<u8>; 2]) {
    let newcomer = newcomer(seed);
    let (sponsor, hello) = greet(&newcomer, seed + 100);
    let (opened, opening) = newcomer.handle_hello(&hello, NOW, &mut rng(seed)).unwrap();
    let comparing = sponsor.handle_opening(&opening, NOW).unwrap();
    (opened, comparing, [hello, opening])
}

fn error<T>(result: Result<T, EnrolmentError>) -> EnrolmentError {
    result.err().expect("it was taken")
}

#[test]
fn a_newcomer_has_the_account_after_the_words() {
    let (opened, mut comparing, sent) = met(1);
    assert_eq!(comparing.device_name(), "a new phone");
    assert_eq!(*opened.address(), alice().canonical());
    assert_eq!(opened.words().split(' ').count(), COMPARED_WORDS);
    let typed = opened.words().to_uppercase().replace(' ', " - ");
    let agreed = comparing.compare(&typed, NOW).unwrap();
    let list = listed(&agreed);
    let handover = agreed.hand_over(&keys(5), &list, &mut rng(4)).unwrap();
    for message in sent.iter().chain([&handover]) {
        assert_eq!(message.len(), MESSAGE_OCTETS);
    }
    let enrolled = opened.confirm().handle_handover(&handover, NOW).unwrap();
    assert_eq!(enrolled.root.octets(), &[5; 32]);
    assert_eq!(
        (enrolled.account, enrolled.epoch),
        (AccountId::new([1; 16]), 1)
    );
    let own = list.list().find(enrolled.device.id).unwrap();
    assert_eq!(own.key, enrolled.key.public_key());
    assert_eq!(own.name, "a new phone");
    let shown = Some(list.octets());
    assert!(enrolled.judge_list(&enrolled.keys(), shown).is_ok());
}

#[test]
fn attack_19_a_newcomer_is_shown_no_list_from_before_it_came() {
    let (opened, mut comparing, _) = met(1);
    let agreed = comparing.compare(&opened.words(), NOW).unwrap();
    let list = listed(&agreed);
    let handover = agreed.hand_over(&keys(5), &list, &mut rng(4)).unwrap();
    let enrolled = opened.confirm().handle_handover(&handover, NOW).unwrap();
    let judged = |list: &SignedDeviceList| {
        let judged = enrolled.judge_list(&enrolled.keys(), Some(list.octets()));
        judged.map(drop)
    };
    let sign = |list: &DeviceList| list.sign(&keys(5), &mut rng(6)).unwrap();
    let device = |id: u8| ListedDevice {
        id: ReplicaId::new([id; 16]),
        ..first_list().devices()[0].clone()
    };
    assert_eq!(judged(&sign(&first_list())), Err(EnrolmentError::OldList));
    // Under the same number another one, and a later one without it.
    let other = first_list().with(device(3)).unwrap().unwrap();
    assert_eq!(judged(&sign(&other)), Err(EnrolmentError::OldList));
    let without = list.list().without(enrolled.device.id).unwrap();
    assert_eq!(judged(&sign(&without)), Err(EnrolmentError::OldList));
    let by_another = list.list().sign(&keys(6), &mut rng(6)).unwrap();
    assert_eq!(judged(&by_another), Err(EnrolmentError::OldList));
    assert!(enrolled.judge_list(&enrolled.keys(), None).is_err());
    let later = list.list().with(device(3)).unwrap().unwrap();
    assert_eq!(judged(&sign(&later)), Ok(()));
}

#[test]
fn wrong_words_are_refused_and_after_some_all_are() {
    let (opened, mut comparing, _) = met(1);
    let right = opened.words();
    for _ in 1..MAX_TRIES {
        let wrong = comparing.compare("abandon abandon abandon", NOW);
        assert_eq!(error(wrong), EnrolmentError::WrongWords);
    }
    for typed in ["", &right] {
        let over = comparing.compare(typed, NOW);
        assert_eq!(error(over), EnrolmentError::NoMoreTries);
    }
    let refusal = comparing.refuse(&mut rng(5)).unwrap();
    assert_eq!(refusal.len(), MESSAGE_OCTETS);
    let told = opened.confirm().handle_handover(&refusal, NOW);
    assert_eq!(error(told), EnrolmentError::Refused);
}

#[test]
fn one_mistyped_word_can_be_typed_again() {
    let (opened, mut comparing, _) = met(1);
    let right = opened.words();
    let (short, _) = right.rsplit_once(' ').unwrap();
    let wrong = comparing.compare(short, NOW);
    assert_eq!(error(wrong), EnrolmentError::WrongWords);
    assert!(comparing.compare(&right, NOW).is_ok());
}

/// A provider that has not seen the code has nothing but octets.
#[test]
fn attack_19_who_does_not_know_the_code_says_nothing() {
    let stranger = newcomer(7);
    let (_, foreign) = greet(&stranger, 8);
    let taken = newcomer(1).handle_hello(&foreign, NOW, &mut rng(1));
    assert_eq!(error(taken), EnrolmentError::Foreign);
    let (sponsor, hello) = greet(&newcomer(1), 2);
    for foreign in [hello, foreign, vec![0; MESSAGE_OCTETS], Vec::new()] {
        let (again, _) = greet(&newcomer(1), 2);
        let taken = again.handle_opening(&foreign, NOW);
        assert_eq!(error(taken), EnrolmentError::Foreign);
    }
    drop(sponsor);
    // Nor does it alter a single octet of what it passes on.
    let (_, _, [hello, opening]) = met(1);
    for at in (0..MESSAGE_OCTETS).step_by(97) {
        let mut altered = hello.clone();
        altered[at] ^= 1;
        let taken = newcomer(1).handle_hello(&altered, NOW, &mut rng(1));
        assert_eq!(error(taken), EnrolmentError::Foreign, "octet {at}");
        let mut altered = opening.clone();
        altered[at] ^= 1;
        let (sponsor, _) = greet(&newcomer(1), 101);
        let taken = sponsor.handle_opening(&altered, NOW);
        assert_eq!(error(taken), EnrolmentError::Foreign, "octet {at}");
    }
}

/// Somebody has seen the code, gives the sponsor another one, and plays each side to the other.
#[test]
fn attack_19_who_stands_between_the_two_has_other_words() {
    let (victim, between) = (newcomer(1), newcomer(50));
    let (sponsor, hello) = greet(&between, 2);
    let (opened_between, opening) = between.handle_hello(&hello, NOW, &mut rng(3)).unwrap();
    let mut comparing = sponsor.handle_opening(&opening, NOW).unwrap();
    let (false_sponsor, false_hello) = greet(&victim, 4);
    let (opened, opening) = victim.handle_hello(&false_hello, NOW, &mut rng(5)).unwrap();
    let mut false_comparing = false_sponsor.handle_opening(&opening, NOW).unwrap();
    assert_ne!(opened.words(), opened_between.words());
    let typed = comparing.compare(&opened.words(), NOW);
    assert_eq!(error(typed), EnrolmentError::WrongWords);
    // What it makes up opens for the victim only if the user says that the words were taken.
    let agreed = false_comparing.compare(&opened.words(), NOW).unwrap();
    let handover = agreed.hand_over(&keys(66), &listed(&agreed), &mut rng(6));
    assert!(
        opened
            .confirm()
            .handle_handover(&handover.unwrap(), NOW)
            .is_ok()
    );
}

/// It passes on what makes the words, and then its own account.
#[test]
fn attack_19_nobody_hands_over_in_the_sponsors_place() {
    let (opened, mut comparing, _) = met(1);
    let mut agreed = comparing.compare(&opened.words(), NOW).unwrap();
    agreed.forge(DeviceKey::generate(&mut rng(77)));
    let forged = agreed.hand_over(&keys(66), &listed(&agreed), &mut rng(6));
    let taken = opened.confirm().handle_handover(&forged.unwrap(), NOW);
    assert_eq!(error(taken), EnrolmentError::Foreign);
}

/// It has the code, waits for the hello, and then looks for an opening that gives other words.
#[test]
fn attack_19_an_opening_is_that_of_the_code() {
    let committed = newcomer(1);
    let (sponsor, hello) = greet(&committed, 2);
    let code = committed.code().clone();
    let between = newcomer(50);
    let opening = between.opening_for_tests();
    let forged = code.seal(Step::Opening, opening, &mut rng(3)).unwrap();
    let taken = sponsor.handle_opening(&forged, NOW);
    assert_eq!(error(taken), EnrolmentError::Foreign);
    assert!(committed.handle_hello(&hello, NOW, &mut rng(1)).is_ok());
}

#[test]
fn attack_19_messages_of_one_enrolment_are_none_of_another() {
    let (opened, mut comparing, [hello, opening]) = met(1);
    let agreed = comparing.compare(&opened.words(), NOW).unwrap();
    let list = listed(&agreed);
    let handover = agreed.hand_over(&keys(5), &list, &mut rng(4)).unwrap();
    // Of the same code: one step is not another, and a second greeting makes another transcript.
    for other in [&hello, &opening] {
        let (opened, ..) = met(1);
        let taken = opened.confirm().handle_handover(other, NOW);
        assert_eq!(error(taken), EnrolmentError::Foreign);
    }
    let again = newcomer(1);
    let (_, second) = greet(&again, 222);
    let (again, _) = again.handle_hello(&second, NOW, &mut rng(1)).unwrap();
    assert_ne!(again.words(), opened.words());
    let taken = again.confirm().handle_handover(&handover, NOW);
    assert_eq!(error(taken), EnrolmentError::Foreign);
    // Of another code.
    let (other, ..) = met(9);
    let taken = other.confirm().handle_handover(&handover, NOW);
    assert_eq!(error(taken), EnrolmentError::Foreign);
    assert!(opened.confirm().handle_handover(&handover, NOW).is_ok());
}

#[test]
fn what_takes_too_long_has_ended() {
    let late = newcomer(1);
    let (sponsor, hello) = greet(&late, 2);
    let taken = late.handle_hello(&hello, END, &mut rng(1));
    assert_eq!(error(taken), EnrolmentError::Expired);
    let (opened, mut comparing, [_, opening]) = met(1);
    let taken = sponsor.handle_opening(&opening, END);
    assert_eq!(error(taken), EnrolmentError::Expired);
    let typed = comparing.compare(&opened.words(), END);
    assert_eq!(error(typed), EnrolmentError::Expired);
    let agreed = comparing.compare(&opened.words(), NOW).unwrap();
    let handover = agreed.hand_over(&keys(5), &listed(&agreed), &mut rng(4));
    let taken = opened.confirm().handle_handover(&handover.unwrap(), END);
    assert_eq!(error(taken), EnrolmentError::Expired);
}

#[test]
fn a_code_is_read_however_it_is_pasted() {
    let newcomer = newcomer(1);
    let code = newcomer.code();
    let text = code.text();
    assert_eq!(text.len(), SCHEME.len() + 96);
    let spaced: String = text.chars().flat_map(|c| [c, '\n']).skip(24).collect();
    let spaced = format!(" {}{spaced}", &text[..SCHEME.len()]);
    for written in [text.to_lowercase(), spaced, format!("\n{}\n ", *text)] {
        let read = EnrolmentCode::parse(&written).unwrap();
        assert_eq!(read, *code);
        assert_eq!(read.rendezvous(), code.rendezvous());
    }
    for nonsense in [
        "",
        "LETTERLOCK1:",
        "OPENPGP4FPR:00",
        &text[..text.len() - 1],
        &format!("{}0", *text),
        &format!("{}ä", &text[..text.len() - 2]),
        &format!("LETTERLOCK2:{}", &text[SCHEME.len()..]),
        &format!("{}{}", *text, " ".repeat(MAX_CODE_OCTETS)).replace("  ", " x"),
    ] {
        let read = EnrolmentCode::parse(nonsense);
        assert_eq!(error(read), EnrolmentError::NoCode, "{nonsense}");
    }
    // Small enough for any camera: 37 modules, and the quiet zone.
    assert_eq!(draw(&text).unwrap().side, 45);
    assert_eq!(format!("{code:?}"), "EnrolmentCode(…)");
}

#[test]
fn a_name_is_cut_and_has_no_control_characters() {
    let long = format!("\u{1b}[2J{}", "ä".repeat(300));
    let newcomer = Newcomer::start(&long, NOW, &mut rng(1));
    let (sponsor, hello) = greet(&newcomer, 2);
    let (_, opening) = newcomer.handle_hello(&hello, NOW, &mut rng(3)).unwrap();
    let comparing = sponsor.handle_opening(&opening, NOW).unwrap();
    assert_eq!(comparing.device_name().len(), 199);
    assert!(comparing.device_name().starts_with("[2Jää"));
}

/// What two devices with different versions of this program would not agree on any more.
#[test]
fn the_words_stay_what_they_are() {
    let (opened, ..) = met(1);
    assert_eq!(opened.words(), GOLDEN);
}

const GOLDEN: &str = "observe dance increase";
