//! Where we differ from others, and why. A name stands in one row of a judge.

/// One reason, and all that it is the reason for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    /// Who says otherwise.
    pub(super) judge: &'static str,
    /// What we say: good, or not.
    pub(super) ours: bool,
    /// Why.
    pub(super) reason: &'static str,
    /// Of what; `#*` stands for all certificates of a file.
    pub(super) names: &'static [&'static str],
}

impl Difference {
    /// The name or pattern in this row that an item's name is meant by.
    pub(super) fn named(&self, name: &str) -> Option<&'static str> {
        self.names
            .iter()
            .copied()
            .find(|known| match known.strip_suffix('*') {
                Some(file) => name.starts_with(file),
                None => *known == name,
            })
    }
}

/// Certificates that mail can be encrypted to.
pub(super) const CERTIFICATES: &[Difference] = &[
    Difference {
        judge: "pysequoia",
        ours: false,
        reason: "the subkey has expired; its `encrypt` does not ask",
        names: &[
            "forged/Future-KeyExpired",
            "forged/Good-KeyExpired",
            "forged/OtherFlags-KeyExpired",
            "forged/WithoutFlags-KeyExpired",
        ],
    },
    Difference {
        judge: "pysequoia",
        ours: true,
        reason: "curves that it has not: Brainpool, secp256k1",
        names: &[
            "pgp/ecdh/brainpool/public.asc#0",
            "pgp/openpgp/samplekeys/ecc-sample-4-pub.asc#0",
        ],
    },
    Difference {
        judge: "pysequoia",
        ours: false,
        reason: "a number in it is not in its one form (RFC 9580 3.2): rPGP does not read it",
        names: &["pgp/malformed/non-canonical-mpi-backsig.pub.asc#0"],
    },
    Difference {
        judge: "pysequoia",
        ours: true,
        reason: "SHA-1 in self-signatures of before 2020, when nobody could forge them, counts; to it none does",
        names: &["pgp/openpgp-interop/testcases/keys/gnupg-v1-003.asc#0"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "a self-signature that has expired says nothing any more; gpg does not ask",
        names: &["forged/Elapsed-Future", "forged/Elapsed-Good"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "DSA, Elgamal, RSA below 2048 bits: too weak",
        names: &[
            "pgp/carol.pub.asc#0",
            "pgp/openpgp-interop/testcases/keys/gnupg-v1-001.asc#0",
            "pgp/openpgp-interop/testcases/keys/pgp-6-5-001.asc#0",
            "pgp/openpgp-interop/testcases/messages/gnupg-v1-001-verify.asc#0",
            "pgp/openpgp/bug894-test.asc#0",
            "pgp/openpgp/pubdemo.asc#*",
            "pgp/openpgp/pubring.asc#0",
            "pgp/openpgp/pubring.asc#1",
            "pgp/openpgp/pubring.asc#3",
            "pgp/openpgp/pubring.asc#4",
            "pgp/openpgp/pubring.asc#5",
            "pgp/openpgp/pubring.asc#6",
            "pgp/openpgp/pubring.asc#7",
            "pgp/openpgp/pubring.asc#8",
            "pgp/openpgp/pubring.asc#9",
            "pgp/openpgp/pubring.asc#10",
            "pgp/openpgp/pubring.asc#11",
            "pgp/openpgp/pubring.asc#12",
            "pgp/openpgp/pubring.asc#13",
            "pgp/openpgp/pubring.asc#14",
            "pgp/openpgp/pubring.asc#15",
            "pgp/openpgp/pubring.asc#16",
            "pgp/openpgp/pubring.asc#17",
            "pgp/openpgp/pubring.asc#18",
            "pgp/openpgp/pubring.asc#19",
            "pgp/openpgp/pubring.asc#20",
            "pgp/openpgp/pubring.asc#21",
            "pgp/openpgp/pubring.asc#22",
            "pgp/openpgp/pubring.asc#23",
            "pgp/openpgp/pubring.asc#24",
            "pgp/openpgp/pubring.asc#25",
            "pgp/openpgp/pubring.asc#26",
            "pgp/openpgp/pubring.asc#27",
            "pgp/openpgp/pubring.asc#28",
            "pgp/openpgp/samplekeys/E657FB607BB4F21C90BB6651BC067AF28BC90111.asc#0",
            "pgp/openpgp/samplekeys/no-creation-time.pgp#0",
            "sequoia/data/keys/dsa2048-elgamal3072.pgp#0",
            "sequoia/data/keys/pgp5-dsa-elg-v3-subkey-binding.pgp#0",
        ],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "ECDSA over Brainpool, which rPGP has not: its self-signatures prove nothing",
        names: &["pgp/ecdsa/bp256.pub#0"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "a number in it is not in its one form (RFC 9580 3.2): rPGP does not read it",
        names: &["pgp/malformed/non-canonical-mpi-backsig.pub.asc#0"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "its only user id is taken back, so nothing speaks for the key",
        names: &["sequoia/data/keys/already-revoked-userid-revocation.pgp#0"],
    },
    Difference {
        judge: "gpg",
        ours: true,
        reason: "ML-KEM (RFC 9980), which gpg 2.2 has not",
        names: &[
            "pgp/pqc/v4-eddsa-sample-pk.asc#0",
            "sequoia/data/pqc/rpgp/rsop_draft-ietf-openpgp-pqc-08-v4-ed25519-mlkem768x25519_alice_pk.pgp#0",
            "sequoia/data/pqc/rpgp/rsop_draft-ietf-openpgp-pqc-08-v4-ed25519-mlkem768x25519_bob_pk.pgp#0",
        ],
    },
];

/// Signatures over a document.
pub(super) const SIGNATURES: &[Difference] = &[
    Difference {
        judge: "pysequoia",
        ours: true,
        reason: "without a hint whose it is, it looks for no key; we have the sender's",
        names: &["issuer-none"],
    },
    Difference {
        judge: "pysequoia",
        ours: false,
        reason: "a hint that names another key is a contradiction; to it hints are only hints",
        names: &[
            "issuer-foreign-fingerprint",
            "issuer-two-fingerprints",
            "issuer-foreign-id",
            "issuer-foreign-unhashed",
        ],
    },
    Difference {
        judge: "pysequoia",
        ours: false,
        reason: "the first octets of the digest are not those that it names (RFC 9580 5.2.3); it does not look at them",
        names: &["prefix-flipped"],
    },
    Difference {
        judge: "pysequoia",
        ours: false,
        reason: "an octet follows the signature in its packet",
        names: &["octet-more"],
    },
    Difference {
        judge: "pysequoia",
        ours: true,
        reason: "a packet of indeterminate length (RFC 9580 4.2.2.4): what is signed is the same",
        names: &["frame-without-end"],
    },
    Difference {
        judge: "pysequoia",
        ours: false,
        reason: "a critical expression over names, which we do not evaluate",
        names: &["regular-expression-critical"],
    },
    Difference {
        judge: "pysequoia",
        ours: true,
        reason: "SHA-3, which it has not",
        names: &["rsa-hash-12", "rsa-hash-14"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "from the future; gpg warns and calls it good",
        names: &["time-in-ten-years", "time-last"],
    },
    Difference {
        judge: "gpg",
        ours: true,
        reason: "136 years of life do not end; in gpg the sum overflows",
        names: &["lifetime-longest"],
    },
    Difference {
        judge: "gpg",
        ours: true,
        reason: "without a hint whose it is, it looks for no key; we have the sender's",
        names: &["issuer-none"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "a hint that names another key is a contradiction; to gpg hints are only hints",
        names: &[
            "issuer-foreign-fingerprint",
            "issuer-two-fingerprints",
            "issuer-foreign-id",
            "issuer-foreign-unhashed",
            "issuer-of-version-5",
        ],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "the first octets of the digest are not those that it names (RFC 9580 5.2.3); gpg does not look at them",
        names: &["prefix-flipped"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "octets follow the signature in its packet, or are missing",
        names: &["octet-more", "frame-too-long"],
    },
    Difference {
        judge: "gpg",
        ours: true,
        reason: "a packet of indeterminate length (RFC 9580 4.2.2.4): what is signed is the same",
        names: &["frame-without-end"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "a critical expression over names, which we do not evaluate",
        names: &["regular-expression-critical"],
    },
    Difference {
        judge: "gpg",
        ours: true,
        reason: "critical in the area that is not signed: whoever passes it on could have put it there, and it says nothing",
        names: &[
            "notation-unhashed",
            "server-preferences-unhashed",
            "signers-user-id-unhashed",
            "target-unhashed",
            "intended-recipient-unhashed",
            "unknown-unhashed",
            "private-unhashed",
        ],
    },
    Difference {
        judge: "gpg",
        ours: true,
        reason: "critical, and understood here; gpg 2.2 does not know them or does not list them",
        names: &[
            "server-preferences-critical",
            "signers-user-id-critical",
            "intended-recipient-critical",
        ],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "the key had nothing to say of itself when it signed; gpg asks for now, and for no more",
        names: &["key-Future", "key-Elapsed"],
    },
    Difference {
        judge: "gpg",
        ours: false,
        reason: "SHA-1 and RIPEMD-160 mean nothing over mail",
        names: &["rsa-hash-2", "rsa-hash-3"],
    },
    Difference {
        judge: "gpg",
        ours: true,
        reason: "SHA-3, which gpg 2.2 has not",
        names: &["rsa-hash-12", "rsa-hash-14"],
    },
];
