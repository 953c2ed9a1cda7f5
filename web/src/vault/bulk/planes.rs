//! AES encryption of eight blocks at a time, in constant time, for WebAssembly.
//!
//! A state is eight planes of 128 bits: plane `i` has bit `i` of every octet of all eight blocks,
//! octet by octet as the block has them, one block's bit behind the other's. So each step of the
//! cipher is a few operations on planes, no table is read, and nothing depends on what is
//! encrypted. What a browser offers (WebCrypto) encrypts no blocks each for itself, which is what
//! opening CFB takes; crates' AES knows WebAssembly as a machine of 32 bits and does two blocks at
//! a time. The S-box is an inversion in GF(2^8) seen as pairs over GF(2^4), seen as pairs over
//! GF(2^2) (Satoh and others, 2001): three small multiplications and some sums.

use core::arch::wasm32::{
    i8x16_shuffle, u8x16_splat, u64x2, u64x2_extract_lane, u64x2_shl, u64x2_shr, u64x2_splat, v128,
    v128_and, v128_xor,
};

/// Octets of a block.
const BLOCK: usize = 16;
/// Blocks in a state.
const LANES: usize = 8;

type Planes = [v128; LANES];

/// An AES key, expanded, in planes.
pub(super) struct Cipher {
    round_keys: Vec<Planes>,
}

impl Cipher {
    /// Expands a key of 16, 24 or 32 octets (FIPS 197 5.2).
    #[target_feature(enable = "simd128")]
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let key_words = match key.len() {
            16 | 24 | 32 => key.len() / 4,
            _ => return None,
        };
        let rounds = key_words + 6;
        let (words, _) = key.as_chunks::<4>();
        let mut words = words.to_vec();
        let mut constant = 1_u8;
        for number in key_words..4 * (rounds + 1) {
            let mut word = *words.last()?;
            if number % key_words == 0 {
                word.rotate_left(1);
                word = substituted(word);
                word[0] ^= constant;
                constant = (constant << 1) ^ (0x1b * (constant >> 7));
            } else if key_words == 8 && number % key_words == 4 {
                word = substituted(word);
            }
            let before = *words.get(number - key_words)?;
            for (octet, before) in word.iter_mut().zip(before) {
                *octet ^= before;
            }
            words.push(word);
        }
        let (round_keys, _) = words.as_chunks::<4>();
        let round_keys = round_keys.iter().enumerate().map(|(round, words)| {
            let mut octets = [0; BLOCK];
            octets.copy_from_slice(words.as_flattened());
            // What the S-box adds at its end passes all later steps as it is.
            let added = if round == 0 { 0 } else { 0x63 };
            octets.iter_mut().for_each(|octet| *octet ^= added);
            transposed([vector(&octets); LANES])
        });
        Some(Self {
            round_keys: round_keys.collect(),
        })
    }

    /// Encrypts whole blocks, each for itself, in place.
    #[target_feature(enable = "simd128")]
    pub(super) fn encrypt(&self, blocks: &mut [u8]) -> Option<()> {
        let (blocks, []) = blocks.as_chunks_mut::<BLOCK>() else {
            return None;
        };
        for lanes in blocks.chunks_mut(LANES) {
            let mut state = [u8x16_splat(0); LANES];
            for (vector_of, block) in state.iter_mut().zip(&*lanes) {
                *vector_of = vector(block);
            }
            let state = self.encrypted(transposed(state))?;
            for (block, vector_of) in lanes.iter_mut().zip(transposed(state)) {
                *block = octets(vector_of);
            }
        }
        Some(())
    }

    #[target_feature(enable = "simd128")]
    fn encrypted(&self, mut state: Planes) -> Option<Planes> {
        let [first, rounds @ .., last] = self.round_keys.as_slice() else {
            return None;
        };
        state = sum(state, *first);
        for key in rounds {
            state = sum(columns_mixed(rows_shifted(substitution(state))), *key);
        }
        Some(sum(rows_shifted(substitution(state)), *last))
    }
}

/// Four octets through the S-box.
#[target_feature(enable = "simd128")]
fn substituted(word: [u8; 4]) -> [u8; 4] {
    let mut block = [0; BLOCK];
    let [a, b, c, d] = word;
    block[..4].copy_from_slice(&[a, b, c, d]);
    let [block, ..] = transposed(substitution(transposed([vector(&block); LANES])));
    let [a, b, c, d, ..] = octets(block);
    [a, b, c, d].map(|octet| octet ^ 0x63)
}

#[inline]
#[target_feature(enable = "simd128")]
fn vector(block: &[u8; BLOCK]) -> v128 {
    let whole = u128::from_le_bytes(*block);
    #[expect(clippy::cast_possible_truncation, reason = "the halves of it")]
    u64x2(whole as u64, (whole >> 64) as u64)
}

#[inline]
#[target_feature(enable = "simd128")]
fn octets(vector: v128) -> [u8; BLOCK] {
    let low = u128::from(u64x2_extract_lane::<0>(vector));
    let high = u128::from(u64x2_extract_lane::<1>(vector));
    (low | high << 64).to_le_bytes()
}

/// Eight blocks to planes, and planes to eight blocks: bits change places with lanes.
#[target_feature(enable = "simd128")]
#[expect(clippy::many_single_char_names, reason = "the planes, by number")]
fn transposed([a, b, c, d, e, f, g, h]: Planes) -> Planes {
    let ones = u64x2_splat(0x5555_5555_5555_5555);
    let [a, b] = exchanged::<1>(a, b, ones);
    let [c, d] = exchanged::<1>(c, d, ones);
    let [e, f] = exchanged::<1>(e, f, ones);
    let [g, h] = exchanged::<1>(g, h, ones);
    let twos = u64x2_splat(0x3333_3333_3333_3333);
    let [a, c] = exchanged::<2>(a, c, twos);
    let [b, d] = exchanged::<2>(b, d, twos);
    let [e, g] = exchanged::<2>(e, g, twos);
    let [f, h] = exchanged::<2>(f, h, twos);
    let fours = u64x2_splat(0x0f0f_0f0f_0f0f_0f0f);
    let [a, e] = exchanged::<4>(a, e, fours);
    let [b, f] = exchanged::<4>(b, f, fours);
    let [c, g] = exchanged::<4>(c, g, fours);
    let [d, h] = exchanged::<4>(d, h, fours);
    [a, b, c, d, e, f, g, h]
}

/// Exchanges the upper of two groups of so many bits of one with the lower of the other.
#[inline]
#[target_feature(enable = "simd128")]
fn exchanged<const BITS: u32>(one: v128, other: v128, lower: v128) -> [v128; 2] {
    let differing = v128_and(v128_xor(u64x2_shr(one, BITS), other), lower);
    [
        v128_xor(one, u64x2_shl(differing, BITS)),
        v128_xor(other, differing),
    ]
}

/// One expression of each plane of one or two states: loops over planes would keep these in
/// memory where code is made small.
macro_rules! each {
    ($states:expr, |$plane:pat_param| $value:expr) => {{
        let [a, b, c, d, e, f, g, h] = $states;
        [
            {
                let $plane = a;
                $value
            },
            {
                let $plane = b;
                $value
            },
            {
                let $plane = c;
                $value
            },
            {
                let $plane = d;
                $value
            },
            {
                let $plane = e;
                $value
            },
            {
                let $plane = f;
                $value
            },
            {
                let $plane = g;
                $value
            },
            {
                let $plane = h;
                $value
            },
        ]
    }};
}

#[inline]
#[target_feature(enable = "simd128")]
fn sum([a, b, c, d, e, f, g, h]: Planes, [i, j, k, l, m, n, o, p]: Planes) -> Planes {
    each!(
        [
            (a, i),
            (b, j),
            (c, k),
            (d, l),
            (e, m),
            (f, n),
            (g, o),
            (h, p)
        ],
        |(one, other)| v128_xor(one, other)
    )
}

/// `ShiftRows` (FIPS 197 5.1.2).
#[inline]
#[target_feature(enable = "simd128")]
fn rows_shifted(state: Planes) -> Planes {
    each!(state, |plane| i8x16_shuffle::<
        0,
        5,
        10,
        15,
        4,
        9,
        14,
        3,
        8,
        13,
        2,
        7,
        12,
        1,
        6,
        11,
    >(plane, plane))
}

/// `MixColumns` (FIPS 197 5.1.3): twice the sum with the next row, and the sum of all other rows.
#[inline]
#[target_feature(enable = "simd128")]
fn columns_mixed(state: Planes) -> Planes {
    let below = each!(state, |plane| i8x16_shuffle::<
        1,
        2,
        3,
        0,
        5,
        6,
        7,
        4,
        9,
        10,
        11,
        8,
        13,
        14,
        15,
        12,
    >(plane, plane));
    let sums = sum(state, below);
    let far = each!(sums, |plane| i8x16_shuffle::<
        2,
        3,
        0,
        1,
        6,
        7,
        4,
        5,
        10,
        11,
        8,
        9,
        14,
        15,
        12,
        13,
    >(plane, plane));
    let [a, b, c, d, e, f, g, h] = sums;
    // Doubled in GF(2^8): a shift, and 0x1b where a bit falls out.
    let doubled = [
        h,
        v128_xor(a, h),
        b,
        v128_xor(c, h),
        v128_xor(d, h),
        e,
        f,
        g,
    ];
    sum(sum(doubled, below), far)
}

/// An element of GF(2^2): w and one, where w^2 = w + 1; the lower bit first.
type Two = [v128; 2];
/// An element of GF(2^4): v and one, where v^2 = v + w; the lower one first.
type Four = [Two; 2];

/// `SubBytes` (FIPS 197 5.1.1) without the constant that it adds.
#[target_feature(enable = "simd128")]
fn substitution(state: Planes) -> Planes {
    let [one, z] = to_tower(state);
    // In GF(2^8): z^2 = z + v w. The norm is in GF(2^4), and so is all that has to be inverted.
    let both = sum4(one, z);
    let inverse = inverse4(sum4(multiple_of_square(z), product4(one, both)));
    from_tower([product4(both, inverse), product4(z, inverse)])
}

/// The inverse, in GF(2^4); of zero, zero.
#[inline]
#[target_feature(enable = "simd128")]
fn inverse4([one, v]: Four) -> Four {
    let both = sum2(one, v);
    // w times the square: the bits change places.
    let [low, high] = v;
    let [norm_low, norm_high] = sum2([high, low], product2(one, both));
    // In GF(2^2) the square is the inverse.
    let inverse = [v128_xor(norm_low, norm_high), norm_high];
    [product2(both, inverse), product2(v, inverse)]
}

#[inline]
#[target_feature(enable = "simd128")]
fn product4([a, b]: Four, [c, d]: Four) -> Four {
    let low = product2(a, c);
    let [high_low, high_high] = product2(b, d);
    let both = product2(sum2(a, b), sum2(c, d));
    let w_high = [high_high, v128_xor(high_low, high_high)];
    [sum2(low, w_high), sum2(both, low)]
}

#[inline]
#[target_feature(enable = "simd128")]
fn product2([a, b]: Two, [c, d]: Two) -> Two {
    let low = v128_and(a, c);
    let high = v128_and(b, d);
    let both = v128_and(v128_xor(a, b), v128_xor(c, d));
    [v128_xor(low, high), v128_xor(both, low)]
}

#[inline]
#[target_feature(enable = "simd128")]
fn sum4([a, b]: Four, [c, d]: Four) -> Four {
    [sum2(a, c), sum2(b, d)]
}

#[inline]
#[target_feature(enable = "simd128")]
fn sum2([a, b]: Two, [c, d]: Two) -> Two {
    [v128_xor(a, c), v128_xor(b, d)]
}

/// The planes of octets as elements of the tower: one and z.
#[inline]
#[target_feature(enable = "simd128")]
#[expect(
    clippy::many_single_char_names,
    reason = "sums without a meaning of their own"
)]
fn to_tower([a, b, c, d, e, f, g, h]: Planes) -> [Four; 2] {
    let i = v128_xor(b, g);
    let j = v128_xor(e, i);
    let k = v128_xor(h, i);
    let l = v128_xor(f, j);
    let m = v128_xor(f, h);
    let n = v128_xor(d, l);
    let o = v128_xor(c, f);
    let p = v128_xor(b, m);
    let q = v128_xor(d, k);
    let r = v128_xor(c, n);
    let s = v128_xor(a, c);
    [[[s, k], [o, q]], [[p, l], [r, m]]]
}

/// And back, through the S-box's affine map.
#[inline]
#[target_feature(enable = "simd128")]
#[expect(
    clippy::many_single_char_names,
    reason = "sums without a meaning of their own"
)]
fn from_tower([[[a, b], [c, d]], [[e, f], [g, h]]]: [Four; 2]) -> Planes {
    let i = v128_xor(e, f);
    let j = v128_xor(c, i);
    let k = v128_xor(a, b);
    let l = v128_xor(a, j);
    let m = v128_xor(e, g);
    let n = v128_xor(a, i);
    let o = v128_xor(d, j);
    let p = v128_xor(d, n);
    let q = v128_xor(g, l);
    let r = v128_xor(c, m);
    let s = v128_xor(c, k);
    let t = v128_xor(h, m);
    [l, s, k, q, p, o, t, r]
}

/// The square times v w, in GF(2^4).
#[inline]
#[target_feature(enable = "simd128")]
fn multiple_of_square([[a, b], [c, d]]: Four) -> Four {
    let c_d = v128_xor(c, d);
    [[c, c_d], [v128_xor(b, c_d), v128_xor(a, d)]]
}
