//! Against the definitions of RFC 9162 2.1, written down as they stand there, for every size.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// The largest log whose proofs are all compared with the definitions.
const DEFINED: u64 = 70;
/// The largest log whose proofs are all verified.
const SIZES: u64 = 260;

/// `MTH(D_n)`, as RFC 9162 2.1.1 defines it.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let k = many.len().next_power_of_two() / 2;
            node_hash(&mth(&many[..k]), &mth(&many[k..]))
        }
    }
}

/// `PATH(m, D_n)`, as RFC 9162 2.1.3.1 defines it.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return vec![];
    }
    let k = leaves.len().next_power_of_two() / 2;
    if m < k {
        [path(m, &leaves[..k]), vec![mth(&leaves[k..])]].concat()
    } else {
        [path(m - k, &leaves[k..]), vec![mth(&leaves[..k])]].concat()
    }
}

/// `SUBPROOF(m, D_n, b)`, as RFC 9162 2.1.4.1 defines it.
fn subproof(m: usize, leaves: &[Hash], b: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if b { vec![] } else { vec![mth(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    if m <= k {
        [subproof(m, &leaves[..k], b), vec![mth(&leaves[k..])]].concat()
    } else {
        [
            subproof(m - k, &leaves[k..], false),
            vec![mth(&leaves[..k])],
        ]
        .concat()
    }
}

fn at(position: u64) -> usize {
    usize::try_from(position).unwrap()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// All perfect subtrees of a log.
fn nodes(leaves: &[Hash]) -> std::collections::BTreeMap<Node, Hash> {
    let mut nodes = std::collections::BTreeMap::new();
    for (size, leaf) in (0..).zip(leaves) {
        let whole = appended(size, *leaf, |node| Ok::<_, Infallible>(nodes[&node])).unwrap();
        nodes.extend(whole);
    }
    nodes
}

#[test]
fn roots_proofs_and_frontiers_are_those_of_the_rfc_at_every_size() {
    let leaves = leaves(DEFINED);
    let nodes = nodes(&leaves);
    let read = |node| Ok::<_, Infallible>(nodes[&node]);
    let mut frontier = Frontier::empty();
    assert_eq!(frontier.root(), empty_root());
    for size in 1..=DEFINED {
        let some = &leaves[..at(size)];
        let root = root(size, read).unwrap();
        assert_eq!(root, mth(some));
        frontier.append(leaves[at(size) - 1]);
        assert_eq!((frontier.root(), frontier.size()), (root, size));
        for index in 0..size {
            let proof = inclusion_path(index, size, read).unwrap();
            assert_eq!(proof, path(at(index), some));
            let leaf = leaves[at(index)];
            assert!(verify_inclusion(leaf, index, size, &proof, &root));
        }
        let last = inclusion_path(size - 1, size, read).unwrap();
        let of_last = Frontier::of_last(size, leaves[at(size) - 1], &last);
        assert_eq!(of_last.unwrap(), frontier);
        for first in 1..=size {
            let proof = consistency_path(first, size, read).unwrap();
            assert_eq!(proof, subproof(at(first), some, true));
            let old = mth(&leaves[..at(first)]);
            assert!(verify_consistency(first, &old, size, &root, &proof));
        }
    }
}

#[test]
fn every_proof_of_every_size_is_verified() {
    let leaves = leaves(SIZES);
    let nodes = nodes(&leaves);
    let read = |node| Ok::<_, Infallible>(nodes[&node]);
    let roots: Vec<Hash> = (0..=SIZES).map(|size| root(size, read).unwrap()).collect();
    for (size, new) in (0..).zip(&roots) {
        for (first, old) in (0..).zip(&roots).take_while(|(first, _)| *first <= size) {
            let proof = consistency_path(first, size, read).unwrap();
            assert!(
                verify_consistency(first, old, size, new, &proof),
                "{first} {size}"
            );
            if first < size {
                let proof = inclusion_path(first, size, read).unwrap();
                let leaf = leaves[at(first)];
                assert!(verify_inclusion(leaf, first, size, &proof, new));
            }
        }
    }
}

/// RFC 9162 2.1.5: the example's tree of seven leaves.
#[test]
fn the_example_of_the_rfc() {
    let leaves = leaves(7);
    let nodes = nodes(&leaves);
    let read = |node| Ok::<_, Infallible>(nodes[&node]);
    let node = |level, index| nodes[&Node { level, index }];
    // "The inclusion proof for d0 is [b, h, l]", for d6 it is [i, k].
    let l = node_hash(&node(1, 2), &leaves[6]);
    let d0 = inclusion_path(0, 7, read).unwrap();
    assert_eq!(d0, [leaves[1], node(1, 1), l]);
    let d6 = inclusion_path(6, 7, read).unwrap();
    assert_eq!(d6, [node(1, 2), node(2, 0)]);
    // "The consistency proof between hash0 and hash is PROOF(3, D[7]) = [c, d, g, l]".
    let three = consistency_path(3, 7, read).unwrap();
    assert_eq!(three, [leaves[2], leaves[3], node(1, 0), l]);
    // "PROOF(4, D[7]) = [l]", "PROOF(6, D[7]) = [i, j, k]".
    assert_eq!(consistency_path(4, 7, read).unwrap(), [l]);
    let six = consistency_path(6, 7, read).unwrap();
    assert_eq!(six, [node(1, 2), leaves[6], node(2, 0)]);
}

proptest! {
    #[test]
    fn a_log_that_was_changed_proves_nothing(size in 2_u64..300, which in any::<prop::sample::Index>(),
        changed in any::<prop::sample::Index>()) {
        let honest = leaves(size);
        let index = (0..size).nth(which.index(at(size))).unwrap();
        let mut other = honest.clone();
        let changed = changed.index(at(size));
        other[changed] = leaf_hash(b"another");
        let nodes = nodes(&other);
        let read = |node| Ok::<_, Infallible>(nodes[&node]);
        let root = mth(&honest);
        let proof = inclusion_path(index, size, read).unwrap();
        prop_assert!(!verify_inclusion(other[at(index)], index, size, &proof, &root));
        let first = index.max(1);
        let proof = consistency_path(first, size, read).unwrap();
        let old = mth(&honest[..at(first)]);
        let new = super::root(size, read).unwrap();
        let extends = verify_consistency(first, &old, size, &new, &proof);
        // The change is behind what was known, or it is found.
        prop_assert_eq!(extends, changed >= at(first));
    }

    #[test]
    fn no_proof_of_other_sizes_or_hashes_holds(first in 1_u64..200, more in 1_u64..100,
        flip in any::<prop::sample::Index>(), bit in 0_usize..256) {
        let second = first + more;
        let leaves = leaves(second);
        let nodes = nodes(&leaves);
        let read = |node| Ok::<_, Infallible>(nodes[&node]);
        let (old, new) = (mth(&leaves[..at(first)]), mth(&leaves));
        let good = consistency_path(first, second, read).unwrap();
        prop_assert!(verify_consistency(first, &old, second, &new, &good));
        prop_assert!(!verify_consistency(second, &new, first, &old, &good));
        prop_assert!(!verify_consistency(first, &new, second, &new, &good));
        let mut shorter = good.clone();
        shorter.pop();
        prop_assert!(!verify_consistency(first, &old, second, &new, &shorter));
        let mut longer = good.clone();
        longer.push(new);
        prop_assert!(!verify_consistency(first, &old, second, &new, &longer));
        let mut flipped = good.clone();
        let which = flip.index(flipped.len());
        flipped[which].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify_consistency(first, &old, second, &new, &flipped));
    }

    #[test]
    fn nothing_panics(a in any::<u64>(), b in any::<u64>(), path in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
        let path: Vec<Hash> = path.into_iter().map(Hash).collect();
        let root = Hash([7; 32]);
        prop_assert!(!verify_inclusion(root, a, b, &path, &empty_root()));
        let _any = verify_consistency(a, &root, b, &root, &path);
        let _any = Frontier::of_last(a, root, &path);
    }
}
